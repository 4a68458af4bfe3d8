# shellcheck shell=bash
# The chart: what its generated files are made from, the values it is tried with, and how it is rendered. Uses HACK.

CHART=$HACK/../charts/aether-vault

helm() { "$(binary helm)" "$@"; }

# Neither settings nor plugins of the user's own helm.
chart_environment() {
  HELM_HOME=$(mktemp -d)
  export HELM_CONFIG_HOME=$HELM_HOME/config HELM_CACHE_HOME=$HELM_HOME/cache HELM_DATA_HOME=$HELM_HOME/data
}

# chart_render NAMESPACE ARGUMENTS...: the manifests without the tests, of a release named after the chart.
chart_render() {
  local namespace=$1
  shift
  helm template aether-vault "$CHART" --namespace "$namespace" --skip-tests "$@"
}

# Made by: a line at the top of files that are rendered from the chart.
chart_made() { printf '# Made from charts/aether-vault by hack/generate.%s\n' "$1"; }

# Labels of a release say nothing in plain manifests.
without_release() { sed -e '/^# Source:/d' -e '/app.kubernetes.io\/managed-by/d' -e '/helm.sh\/chart/d' -e '/app.kubernetes.io\/version/d'; }

# chart_documents KINDS ARGUMENTS...: the rendered documents of these kinds (a pattern), for a database that is elsewhere.
chart_documents() {
  local kinds=$1
  shift
  chart_render aether-vault-system --set database.existingSecret=aether-vault-database "$@" | without_release | awk -v kinds="^kind: ($kinds)$" '
    function flush() { if (wanted) { if (count++) print "---"; printf "%s", document }; document = ""; wanted = 0 }
    /^---/ { flush(); next }
    $0 ~ kinds { wanted = 1 }
    /^$/ { next }
    { document = document $0 "\n" }
    END { flush() }'
}

# chart_rbac ARGUMENTS...: the rights of the servers, for those who use plain manifests.
chart_rbac() {
  chart_made ' The rights of controller and API.'
  chart_documents 'ServiceAccount|ClusterRole|ClusterRoleBinding|Role|RoleBinding' --set 'rbac.aggregateToView=false,rbac.aggregateToEdit=false,rbac.aggregateToAdmin=false' \
    --set 'bootstrap.enabled=false,rootKey.existingSecret=root-key,tls.mode=disabled,jobs.serviceAccount.create=false' "$@"
}

# chart_restarts ARGUMENTS...: what it takes beside them to restart workloads.
chart_restarts() {
  chart_made ' Only with controller.restart_workloads: whoever may patch a workload may change what it runs.'
  chart_documents 'ClusterRole|ClusterRoleBinding|Role|RoleBinding' --set controller.restartWorkloads=true --show-only templates/rbac-restarts.yaml "$@"
}

# chart_rights: every right that the chart can give (R37), in its two ways.
chart_rights() {
  chart_made ' Every right that the chart gives (R37): a difference is for a person to look at.'
  echo '# With rights over the whole cluster, and a database of its own:'
  chart_documents 'ServiceAccount|ClusterRole|ClusterRoleBinding|Role|RoleBinding' --set database.mode=bundled,controller.restartWorkloads=true
  echo '---'
  echo '# In the namespace shop alone:'
  chart_documents 'ServiceAccount|ClusterRole|ClusterRoleBinding|Role|RoleBinding' --set 'watchNamespaces={shop}'
}

# chart_plain ARGUMENTS...: everything, for Kustomize.
chart_plain() {
  chart_made ' The image is named by the overlay.'
  printf 'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: aether-vault-system\n---\n'
  chart_documents ".*" --set image.repository=aether-vault,crds.install=false "$@"
}

# chart_readme: README.md, from the head of README.md.in and the comments in values.yaml.
chart_readme() {
  cat "$CHART/README.md.in"
  printf '\n| value | default | meaning |\n|---|---|---|\n'
  awk '
    # The path of a key, by its indentation of two spaces a level.
    function indent(line) { match(line, /^ */); return RLENGTH / 2 }
    /^ *# -- / { text = $0; sub(/^ *# -- /, "", text); described = 1; next }
    described && /^ *# / { more = $0; sub(/^ *# /, "", more); text = text " " more; next }
    /^ *[A-Za-z][A-Za-z0-9]*:/ {
      level = indent($0)
      key = $0; sub(/^ */, "", key); sub(/:.*/, "", key)
      value = $0; sub(/^[^:]*: ?/, "", value)
      path[level] = key
      if (described) {
        name = path[0]
        for (i = 1; i <= level; i++) name = name "." path[i]
        gsub(/\|/, "\\|", text)
        if (value == "") value = "see values.yaml"; else value = "`" value "`"
        printf "| `%s` | %s | %s |\n", name, value, text
      }
      described = 0; text = ""
      next
    }
    !/^ *#/ { described = 0 }' "$CHART/values.yaml"
}
