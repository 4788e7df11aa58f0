"""Logs that other programs write: each line becomes an event, once.

file: LogFile, which reads on through rotation. reading: one file of it, as it is read. rotation:
what has become of the log's files. bytes: the bytes of one. lines: where lines end. newest: the
newest lines of a log that was never followed. position: where a follower is. folder_watch: waits
for a change. follower: LogFollowers, which publish what comes.
"""
