# The Grafana dashboards, from one source: jq --null-input --raw-output --arg name overview --from-file hack/dashboards.jq
#
# In queries NS stands for the installation's namespace and [I] for Grafana's interval of rates.

def query($expr; $legend):
  { expr: ($expr | gsub("\\bNS\\b"; "namespace=\"$namespace\"") | gsub("\\[I\\]"; "[$__rate_interval]")), legendFormat: $legend };

def quantiles($metric; $more; $quantiles; $legend):
  [$quantiles[] | query("histogram_quantile(\(.), sum by (le\($more)) (rate(\($metric)_bucket{NS}[I])))"; "\($legend)p\(. * 100 | floor)")];

def panel($type; $w; $h; $title; $unit; $queries; $description):
  { title: $title, description: $description, type: $type, w: $w, h: $h, unit: $unit,
    targets: [$queries | to_entries[] | .value + { refId: ("ABCDEFGH"[.key:.key + 1]) }] };

def stat($title; $unit; $query; $description): panel("stat"; 4; 4; $title; $unit; [$query]; $description);
def graph($title; $unit; $queries; $description): panel("timeseries"; 8; 7; $title; $unit; $queries; $description);
def graph($title; $unit; $queries): graph($title; $unit; $queries; "");
def wide($title; $unit; $queries): panel("timeseries"; 12; 7; $title; $unit; $queries; "");
def row($title): { title: $title, type: "row", w: 24, h: 1 };

# Panels that several dashboards show.
def errors: stat("Errors"; "percentunit";
  query("sum(rate(aether_vault_http_request_seconds_count{NS,status=\"5xx\"}[I])) / sum(rate(aether_vault_http_request_seconds_count{NS}[I]))"; "5xx"); "Answers with a status of 500 or above");
def oldest_waiting: stat("Oldest waiting VaultSecret"; "s"; query("max(aether_vault_controller_oldest_unreconciled_seconds{NS})"; "age"); "");
def leaders: stat("Leaders"; "short"; query("sum(aether_vault_controller_leader{NS})"; "leaders"); "One for each cluster");
def deletions_held: stat("Deletions held"; "short"; query("max(aether_vault_controller_deletions_held{NS})"; "held"); "They wait for 'aether-vault syncs confirm'");
def partitions: stat("Audit partitions ahead"; "d"; query("min(aether_vault_audit_partition_days{NS})"; "days"); "At 0 every request is refused");
def sealing_age: stat("Last sealing"; "s"; query("time() - max(aether_vault_job_last_success_timestamp_seconds{NS,job=\"audit sealing\"})"; "ago"); "Since entries were last put into signed blocks");
def rps_by($by): graph("Requests by \($by)"; "reqps"; [query("sum by (\($by)) (rate(aether_vault_http_request_seconds_count{NS}[I]))"; "{{\($by)}}")]);
def latency: graph("Latency"; "s"; quantiles("aether_vault_http_request_seconds"; ""; [0.5, 0.9, 0.99]; ""));
def problems: graph("Problems by reason"; "reqps"; [query("sum by (reason) (rate(aether_vault_http_problems_total{NS}[I]))"; "{{reason}}")]);
def to_secret: graph("From change to Secret"; "s"; quantiles("aether_vault_controller_change_to_secret_seconds"; ""; [0.5, 0.99]; ""); "From seeing a change in the vault to the Secret that carries it");
def decisions: graph("Decisions"; "ops"; [query("sum by (capability, effect) (rate(aether_vault_decisions_total{NS}[I]))"; "{{effect}} {{capability}}")]);
def logins: graph("Logins"; "ops"; [query("sum by (result) (rate(aether_vault_logins_total{NS}[I]))"; "{{result}}")]);
def audit_commits: graph("Audit commits"; "s"; quantiles("aether_vault_audit_commit_seconds"; ""; [0.5, 0.99]; ""); "No read is answered before its entry is committed");
def connections: graph("Connections to the database"; "short"; [
  query("sum by (pod, state) (aether_vault_store_connections{NS})"; "{{pod}} {{state}}"),
  query("max(aether_vault_store_connections_max{NS})"; "most of a process")]);
def feed: graph("Change feed"; "ops"; [
  query("sum by (pod, result) (rate(aether_vault_feed_passes_total{NS}[I]))"; "{{pod}} {{result}}"),
  query("sum(rate(aether_vault_feed_changes_total{NS}[I]))"; "changes")]);

def dashboards: {
  overview: { title: "overview", panels: [
    row("At a glance"),
    stat("Processes"; "short"; query("count by (version) (aether_vault_build_info{NS})"; "{{version}}"); ""),
    errors, leaders, oldest_waiting, deletions_held, partitions,
    row("API"), rps_by("status"), latency, problems,
    row("Operator"), to_secret,
    graph("Secrets written"; "ops"; [query("sum by (action) (rate(aether_vault_controller_secrets_total{NS}[I]))"; "{{action}}")]), feed,
    row("Security and audit"), decisions, logins, audit_commits,
    row("Processes"),
    wide("Memory"; "bytes"; [query("process_resident_memory_bytes{NS} and on(pod) aether_vault_build_info{NS}"; "{{pod}}")]),
    wide("CPU"; "short"; [query("rate(process_cpu_seconds_total{NS}[I]) and on(pod) aether_vault_build_info{NS}"; "{{pod}}")])
  ] },
  api: { title: "API", panels: [
    errors,
    stat("Requests"; "reqps"; query("sum(rate(aether_vault_http_request_seconds_count{NS}[I]))"; "rate"); ""),
    stat("99 of 100 answered within"; "s"; query("histogram_quantile(0.99, sum by (le) (rate(aether_vault_http_request_seconds_bucket{NS}[I])))"; "p99"); ""),
    stat("Being answered"; "short"; query("sum(aether_vault_http_requests_in_flight{NS})"; "requests"); ""),
    stat("Cache hits"; "percentunit"; query("sum(rate(aether_vault_cache_lookups_total{NS,result=\"hit\"}[I])) / sum(rate(aether_vault_cache_lookups_total{NS}[I]))"; "hits"); "Of the cache of ciphertext"),
    stat("Read-only"; "short"; query("max(aether_vault_maintenance{NS})"; "maintenance"); "1 while the vault is in maintenance"),
    row("Requests"), rps_by("route"), rps_by("status"), problems,
    latency,
    graph("Slowest routes"; "s"; [query("topk(8, histogram_quantile(0.99, sum by (le, route) (rate(aether_vault_http_request_seconds_bucket{NS}[I]))))"; "{{route}}")]; "99th percentile"),
    graph("Being answered"; "short"; [query("sum by (pod) (aether_vault_http_requests_in_flight{NS})"; "{{pod}}")]),
    row("Connections and cache"),
    graph("Open connections"; "short"; [query("sum by (pod, listener) (aether_vault_http_connections{NS})"; "{{pod}} {{listener}}")]),
    graph("Refused connections"; "ops"; [query("sum by (listener) (rate(aether_vault_http_connections_refused_total{NS}[I]))"; "{{listener}}")]; "Beyond http.max_connections"),
    graph("Look-ups of the cache"; "ops"; [query("sum by (result) (rate(aether_vault_cache_lookups_total{NS}[I]))"; "{{result}}")]),
    row("Logins"), logins,
    graph("Refreshes"; "ops"; [query("sum by (result) (rate(aether_vault_refreshes_total{NS}[I]))"; "{{result}}")]),
    graph("Password checks"; "ops"; [
      query("sum(rate(aether_vault_password_verifications_total{NS}[I]))"; "checked"),
      query("sum(rate(aether_vault_password_rehashes_total{NS}[I]))"; "hashed anew")])
  ] },
  operator: { title: "operator", panels: [
    leaders, oldest_waiting, deletions_held,
    stat("Compared everything"; "short"; query("max(aether_vault_controller_caught_up{NS})"; "caught up"); "1 once it has been done since the leader leads"),
    stat("Vault answers"; "short"; query("min(aether_vault_controller_vault_available{NS})"; "available"); "0 while it does not answer a controller"),
    stat("Rotations overdue"; "short"; query("max(aether_vault_controller_rotations_overdue{NS})"; "overdue"); ""),
    row("From the vault to Secrets"), to_secret,
    graph("Secrets written"; "ops"; [query("sum by (action) (rate(aether_vault_controller_secrets_total{NS}[I]))"; "{{action}}")]),
    graph("Versions written for resources"; "ops"; [query("sum by (source) (rate(aether_vault_controller_feeds_total{NS}[I]))"; "{{source}}")]),
    row("Work"),
    graph("Looks by reason"; "ops"; [query("sum by (kind, reason) (rate(aether_vault_controller_reconciles_total{NS}[I]))"; "{{kind}} {{reason}}")]),
    graph("Time of a look"; "s"; quantiles("aether_vault_controller_reconcile_seconds"; ", kind"; [0.5, 0.99]; "{{kind}} ")),
    graph("Waiting"; "short"; [query("sum by (kind) (aether_vault_controller_queue_depth{NS})"; "{{kind}}")]),
    graph("Oldest waiting"; "s"; [query("max(aether_vault_controller_oldest_unreconciled_seconds{NS})"; "VaultSecret")]),
    graph("Rotation overdue"; "s"; [query("max(aether_vault_controller_rotation_overdue_seconds{NS})"; "the first")]),
    graph("Workloads restarted"; "ops"; [query("sum by (kind) (rate(aether_vault_controller_restarts_total{NS}[I]))"; "{{kind}}")]),
    row("Changes"), feed
  ] },
  security: { title: "security and audit", panels: [
    stat("Tampered"; "short"; query("sum(aether_vault_audit_verifications_total{NS,verdict=\"tampered\"})"; "verdicts"); "Verifications that found the audit log changed"),
    sealing_age, partitions,
    stat("Refused again and again"; "short"; query("sum(increase(aether_vault_denied_bursts_total{NS}[1h]))"; "last hour"); "Actors refused twenty times within a minute"),
    stat("Broken policies"; "short"; query("max(aether_vault_policies_broken{NS})"; "broken"); "Their allows do not count, their denies do"),
    stat("Suspect passkeys"; "short"; query("sum(increase(aether_vault_passkeys_suspect_total{NS}[1d]))"; "last day"); "There may be copies of them"),
    row("Access"), decisions,
    graph("Denied"; "ops"; [query("sum by (capability) (rate(aether_vault_decisions_total{NS,effect=\"deny\"}[I]))"; "{{capability}}")]),
    graph("Policies"; "short"; [query("max(aether_vault_policies{NS})"; "in force"), query("max(aether_vault_policies_broken{NS})"; "broken")]),
    logins,
    graph("Second factors"; "ops"; [query("sum by (result) (rate(aether_vault_second_factors_total{NS}[I]))"; "{{result}}")]),
    graph("Refresh tokens used twice"; "ops"; [query("sum(rate(aether_vault_refreshes_total{NS,result=\"reused\"}[I]))"; "reused")]; "Each ended a session: somebody may have stolen one"),
    row("Audit log"),
    graph("Entries sealed"; "ops"; [query("sum by (decision) (rate(aether_vault_audit_entries_total{NS}[I]))"; "{{decision}}"), query("sum(rate(aether_vault_audit_noise_total{NS}[I]))"; "counted only")]),
    graph("Height"; "short"; [query("max(aether_vault_audit_height{NS})"; "blocks")]),
    graph("Verifications in a day"; "short"; [query("sum by (verdict) (increase(aether_vault_audit_verifications_total{NS}[1d]))"; "{{verdict}}")]),
    graph("Behind at sinks"; "short"; [query("max by (sink) (aether_vault_audit_sink_lag_entries{NS})"; "{{sink}}")]; "Sealed entries not delivered yet"),
    graph("Deliveries"; "ops"; [query("sum by (sink, result) (rate(aether_vault_audit_sink_deliveries_total{NS}[I]))"; "{{sink}} {{result}}")]),
    row("Ages"),
    wide("Age of keys"; "s"; [query("max by (key) (aether_vault_key_age_seconds{NS})"; "{{key}}")]),
    wide("Records by when their values end"; "short"; [query("max by (within) (aether_vault_records_expiring{NS})"; "{{within}}")])
  ] },
  database: { title: "database", panels: [
    stat("Connections in use"; "percentunit"; query("max(sum by (pod) (aether_vault_store_connections{NS,state=\"in_use\"}) / sum by (pod) (aether_vault_store_connections_max{NS}))"; "fullest pool"); "Of the process that uses most of its own"),
    stat("Commits failed"; "short"; query("sum(increase(aether_vault_audit_commit_failures_total{NS}[1h]))"; "last hour"); "Their requests were refused"),
    partitions, sealing_age,
    row("Statements"), audit_commits,
    graph("Entries of a commit"; "short"; [query("sum(rate(aether_vault_audit_batch_rows_sum{NS}[I])) / sum(rate(aether_vault_audit_batch_rows_count{NS}[I]))"; "mean")]),
    graph("Writes"; "s"; quantiles("aether_vault_store_write_seconds"; ", statement"; [0.5, 0.99]; "{{statement}} ")),
    connections,
    graph("Reads done again"; "ops"; [query("sum(rate(aether_vault_reads_repeated_total{NS}[I]))"; "reads")]; "Their commit did not confirm what they had read"),
    graph("Keys made"; "ops"; [query("sum(rate(aether_vault_keks_made_total{NS}[I]))"; "key-encryption keys")]),
    row("Background"), feed,
    graph("Runs of jobs"; "ops"; [query("sum by (job, result) (rate(aether_vault_job_runs_total{NS}[I]))"; "{{job}} {{result}}")]),
    graph("Since jobs last succeeded"; "s"; [query("time() - max by (job) (aether_vault_job_last_success_timestamp_seconds{NS})"; "{{job}}")])
  ] }
};

# Left to right, and on to the next line when one is full.
def placed:
  reduce .[] as $panel ({ x: 0, y: 0, line: 0, out: [] };
    (if .x + $panel.w > 24 then .y += .line | .x = 0 | .line = 0 else . end)
    | .out += [$panel + { id: (.out | length + 1), gridPos: { h: $panel.h, w: $panel.w, x: .x, y: .y } } | del(.w, .h)]
    | .x += $panel.w | .line = ([.line, $panel.h] | max))
  | .out;

def source: { type: "prometheus", uid: "${datasource}" };

def drawn:
  if .type == "row" then . + { collapsed: false, panels: [] }
  else . + { datasource: source, fieldConfig: { defaults: { min: 0, unit }, overrides: [] } } | del(.unit)
  end;

dashboards[$name] | {
  title: "Aether Vault: \(.title)",
  uid: "aether-vault-\($name)",
  tags: ["aether-vault"],
  schemaVersion: 39,
  version: 1,
  editable: true,
  refresh: "30s",
  time: { from: "now-6h", to: "now" },
  timezone: "browser",
  links: [{ title: "Aether Vault", type: "dashboards", tags: ["aether-vault"], asDropdown: true, keepTime: true, includeVars: true }],
  templating: { list: [
    { name: "datasource", type: "datasource", query: "prometheus", label: "Data source" },
    { name: "namespace", type: "query", label: "Namespace", datasource: source, query: "label_values(aether_vault_build_info, namespace)", refresh: 2, sort: 1 }
  ] },
  panels: [.panels | placed[] | drawn]
}
