"""Engine.IO, WebSocket and Socket.IO packets."""
