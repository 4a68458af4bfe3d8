-- What wrk sends: GET or PUT of records, each thread its own requests, made before the measurement begins.
-- BENCH_MODE is read, write or bare; BENCH_TOKEN_FILE holds the access token; BENCH_RECORDS says how many records there are.

local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

local prepared = {}
local position = 0

local function token()
  local file = assert(io.open(os.getenv("BENCH_TOKEN_FILE")))
  local text = file:read("*l")
  file:close()
  return text
end

function init()
  local mode = os.getenv("BENCH_MODE")
  if mode == "bare" then
    prepared[1] = wrk.format("GET", "/")
    return
  end
  local count = tonumber(os.getenv("BENCH_RECORDS"))
  local headers = { Authorization = "Bearer " .. token() }
  if mode == "read" then
    for i = 0, count - 1 do
      -- Threads begin at different records.
      local record = (i + number * 499) % count
      prepared[i + 1] = wrk.format("GET", "/api/v1/records/bench/read/" .. record, headers)
    end
    return
  end
  headers["Content-Type"] = "application/json"
  -- Two rounds with different values, so that every write changes something.
  for round = 0, 1 do
    local body = '{"data":{"value":"' .. string.rep(string.char(97 + round), 1024) .. '"}}'
    for i = 0, count - 1 do
      local path = "/api/v1/records/bench/write/" .. number .. "/" .. i
      prepared[round * count + i + 1] = wrk.format("PUT", path, headers, body)
    end
  end
end

function request()
  position = position % #prepared + 1
  return prepared[position]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests":%d,"seconds":%.6f,"p50_ms":%.4f,"p95_ms":%.4f,"p99_ms":%.4f,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
