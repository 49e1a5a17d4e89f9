-- Sends the requests of a file, each once and in their order, and ends when the last one is answered.
--
--     wrk -t1 -cN -d60 -s load.lua URL -- FILE START LIMIT SECONDS N
--
-- FILE holds requests ready for the wire, each after its length in eight digits; START is where to begin in it.
-- What is sent after SECONDS or LIMIT requests is nothing, and all that was sent is waited for: the database is to
-- hold exactly what was acknowledged. wrk asks `delay` before each request of a connection, so that after its first
-- one every call means an answer.

local ffi = require("ffi")
ffi.cdef [[
typedef struct { long seconds; long nanoseconds; } moment;
int clock_gettime(int clock, moment *now);
int getpid(void);
int kill(int process, int signal);
]]

local MONOTONIC, SIGINT, FOREVER_MS = 1, 2, 1e7

local moment = ffi.new("moment")
local file, limit, seconds, connections, rehearsed

-- Read by `done`.
position, due, calls, first, last = 0, 0, 0, 0, 0

local threads = {}

function setup(thread)
   table.insert(threads, thread)
end

function init(args)
   file = assert(io.open(args[1], "rb"))
   position, limit = tonumber(args[2]), tonumber(args[3])
   seconds, connections = tonumber(args[4]), tonumber(args[5])
   file:seek("set", position)
end

local function clock()
   ffi.C.clock_gettime(MONOTONIC, moment)
   return tonumber(moment.seconds) + tonumber(moment.nanoseconds) / 1e9
end

local function take()
   local length = file:read(9)
   if not length then
      error("The requests ran out; more are to be written for so fast a server.")
   end
   position = position + 9 + tonumber(length)
   return file:read(tonumber(length))
end

-- wrk takes one request before it starts, to look at it, and does not send it.
function request()
   if rehearsed == nil then
      rehearsed = take()
      return rehearsed
   end
   if rehearsed then
      local request = rehearsed
      rehearsed = false
      return request
   end
   return take()
end

function delay()
   local now = clock()
   calls = calls + 1
   if first == 0 then
      first = now
   end
   last = now
   if due < limit and now - first < seconds then
      due = due + 1
      return 0
   end
   if calls - connections >= due then
      ffi.C.kill(ffi.C.getpid(), SIGINT)
   end
   return FOREVER_MS
end

function done(summary, latency, requests)
   local thread, errors = threads[1], summary.errors
   io.write(string.format(
      'RESULT {"sent": %d, "answered": %d, "refused": %d, "broken": %d, "timed_out": %d, "seconds": %.6f, '
         .. '"p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f, "position": %d}\n',
      thread:get("due"), summary.requests, errors.status, errors.connect + errors.read + errors.write, errors.timeout,
      thread:get("last") - thread:get("first"),
      latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000, thread:get("position")
   ))
end
