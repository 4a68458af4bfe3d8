-- Health of VaultSecret and VaultPolicy for Argo CD: in the ConfigMap argocd-cm, under both
-- resource.customizations.health.aethervault.io_VaultSecret and resource.customizations.health.aethervault.io_VaultPolicy.
local hs = { status = "Progressing", message = "Waiting for the controller" }
if obj.spec ~= nil and obj.spec.suspend == true then
  hs.status = "Suspended"
  hs.message = "spec.suspend is true"
  return hs
end
if obj.status == nil or obj.status.conditions == nil then
  return hs
end
-- What was said of an earlier spec is no news about this one.
if obj.status.observedGeneration ~= obj.metadata.generation then
  hs.message = "Waiting for the controller to look at this generation"
  return hs
end
local found = {}
for _, condition in ipairs(obj.status.conditions) do
  found[condition.type] = condition
end
local ready = found["Ready"]
if ready == nil then
  return hs
end
if ready.status == "True" then
  hs.status = "Healthy"
  hs.message = ready.message
elseif ready.reason == "Preview" then
  hs.status = "Suspended"
  hs.message = ready.message
elseif found["Reconciling"] ~= nil and found["Reconciling"].status == "True" and ready.reason ~= "TargetConflict" and ready.reason ~= "TargetMissing" and ready.reason ~= "TargetRefused" then
  -- The vault or the cluster does not answer: the controller goes on by itself.
  hs.message = ready.reason .. ": " .. ready.message
else
  hs.status = "Degraded"
  hs.message = ready.reason .. ": " .. ready.message
end
return hs
