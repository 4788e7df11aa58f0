"""Logs that other programs write: each line becomes an event, once.

file: LogFile, which reads on through rotation. reading: one file of a log, while it is read.
rotation: finds the log's files after a rotation. bytes: the bytes of one file. lines: where lines
end. newest: the newest lines of a log that was never followed. position: where a follower is.
folder_watch: waits for a change. follower: LogFollowers, which publish new lines.
"""
