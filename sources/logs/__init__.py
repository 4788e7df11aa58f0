"""Logs that other programs write: each line becomes an event, once.

file: LogFile, which goes on through rotation. bytes: its files on the disk. lines: where lines end.
newest: the newest lines of a log that was never followed. position: where a follower is.
folder_watch: waits for a change. follower: LogFollowers, which publish what comes.
"""
