-- What wrk sends: each thread its own requests, made before the measurement begins.
-- BENCH_MODE is read, write, mixed, batch, login or bare; BENCH_TOKEN_FILE holds the access token, BENCH_PASSWORD_FILE the administrator's
-- password; BENCH_RECORDS says how many records there are.

local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

local prepared = {}
local position = 0

local function line_of(variable)
  local file = assert(io.open(os.getenv(variable)))
  local text = file:read("*l")
  file:close()
  return text
end

local function add(method, path, headers, body)
  prepared[#prepared + 1] = wrk.format(method, path, headers, body)
end

local function read(i, count, headers)
  -- Threads begin at different records.
  add("GET", "/api/v1/records/bench/read/" .. (i + number * 499) % count, headers)
end

local function write(i, count, headers)
  -- Rounds with different values, so that every write changes something.
  local letter = string.char(97 + math.floor(i / count) % 2)
  local body = '{"data":{"value":"' .. string.rep(letter, 1024) .. '"}}'
  add("PUT", "/api/v1/records/bench/write/" .. number .. "/" .. i % count, headers, body)
end

local function batch(i, count, headers)
  local records = {}
  for k = 0, 99 do
    records[k + 1] = '{"path":"bench/read/' .. (i * 100 + k + number * 499) % count .. '"}'
  end
  add("POST", "/api/v1/batch/read", headers, '{"records":[' .. table.concat(records, ",") .. "]}")
end

function init()
  local mode = os.getenv("BENCH_MODE")
  local count = tonumber(os.getenv("BENCH_RECORDS"))
  local json = { ["Content-Type"] = "application/json" }
  if mode == "bare" then
    add("GET", "/")
    return
  elseif mode == "login" then
    local password = line_of("BENCH_PASSWORD_FILE")
    add("POST", "/api/v1/auth/login", json, '{"username":"admin","password":"' .. password .. '"}')
    return
  end
  json.Authorization = "Bearer " .. line_of("BENCH_TOKEN_FILE")
  local bare = { Authorization = json.Authorization }
  if mode == "read" then
    for i = 0, count - 1 do read(i, count, bare) end
  elseif mode == "write" then
    for i = 0, 2 * count - 1 do write(i, count, json) end
  elseif mode == "mixed" then
    -- Nine reads, then a write; 20 rounds of the written records.
    for i = 0, 20 * count - 1 do
      if i % 10 == 9 then write(math.floor(i / 10), count, json) else read(i, count, bare) end
    end
  elseif mode == "batch" then
    for i = 0, 99 do batch(i, count, json) end
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
