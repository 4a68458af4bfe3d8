# shellcheck shell=bash
# What up, down and status of the development setup share: the sourced files and the arguments.

# shellcheck source=log.sh
. "$HACK/lib/log.sh"
# shellcheck source=cache.sh
. "$HACK/lib/cache.sh"
# shellcheck source=processes.sh
. "$HACK/lib/processes.sh"
# shellcheck source=ports.sh
. "$HACK/lib/ports.sh"
# shellcheck source=packages.sh
. "$HACK/lib/packages.sh"
# shellcheck source=vault.sh
. "$HACK/lib/vault.sh"
# shellcheck source=samples.sh
. "$HACK/lib/samples.sh"

# development_arguments "$@": sets DIR and NODE_FLAG, or shows the caller's usage.
development_arguments() {
  local dir=$HACK/../.dev
  NODE_FLAG=()
  while [ $# -gt 0 ]; do
    case $1 in
      --dir) dir=${2:?--dir needs a folder} && shift 2 ;;
      --node) NODE_FLAG=(--node) && shift ;;
      -h | --help)
        usage
        exit 0
        ;;
      *)
        usage >&2
        exit 2
        ;;
    esac
  done
  DIR=$(absolute "$dir")
}
