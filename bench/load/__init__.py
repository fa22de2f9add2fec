"""Load generators: closed loop (wrk), open loop, and scripts for k6."""
