"""The commands, one module each: its `COMMAND` describes it. No command imports another one."""
