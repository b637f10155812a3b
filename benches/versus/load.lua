-- Requests that are formatted once and then sent in turn; each thread begins elsewhere among them.
-- `wrk -s load.lua URL -- FILE`, where a line of the file is an API key, a space and a body.
local threads = 0

function setup(thread)
  thread:set("place", threads)
  threads = threads + 1
end

local requests, turn = {}, 0

function init(arguments)
  for line in io.lines(arguments[1]) do
    local key, body = line:match("^(%S+) (.*)$")
    local headers = { ["Authorization"] = "Bearer " .. key, ["Content-Type"] = "application/json" }
    requests[#requests + 1] = wrk.format("POST", "/v1/check", headers, body)
  end
  turn = math.floor(#requests * place / 2)
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status
  io.write(string.format("\nmeasured %d %d %d %d %d %d\n", summary.requests, failed, errors.timeout, summary.duration,
    latency:percentile(50), latency:percentile(99)))
end
