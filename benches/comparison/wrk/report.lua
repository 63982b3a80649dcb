-- For wrk: one line of JSON at the end. With a file of tokens as an argument, each request carries the next one:
--   wrk -s report.lua URL -- [FILE FIRST]

local requests, at

function init(arguments)
  if not arguments[1] then return end
  requests, at = {}, tonumber(arguments[2])
  for token in io.lines(arguments[1]) do
    wrk.headers["Authorization"] = "Bearer " .. token
    requests[#requests + 1] = wrk.format()
  end
  -- Defined here only: calling into Lua for every request costs a load that has always the same to send.
  request = function()
    at = at % #requests + 1
    return requests[at]
  end
end

function done(summary, latency)
  local broken = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  print(string.format(
    'RESULT {"requests": %d, "seconds": %.6f, "refused": %d, "errors": %d, "p50": %.1f, "p99": %.1f, "p999": %.1f}',
    summary.requests, summary.duration / 1e6, summary.errors.status, broken,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
