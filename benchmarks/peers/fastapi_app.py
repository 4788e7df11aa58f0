"""FastAPI's own example of a broadcast: a list of connections, and a loop that sends to each.

What is published on /publish goes to everyone on /live. Runs in the environment of
requirements.txt: uvicorn benchmarks.peers.fastapi_app:app
"""

from __future__ import annotations

from fastapi import FastAPI, WebSocket, WebSocketDisconnect  # type: ignore[import-not-found]

app = FastAPI()
listeners: list[WebSocket] = []


async def live(websocket: WebSocket) -> None:
    await websocket.accept()
    listeners.append(websocket)
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect:
        listeners.remove(websocket)


async def publish(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        for listener in list(listeners):
            await listener.send_text(text)


app.add_api_websocket_route("/live", live)
app.add_api_websocket_route("/publish", publish)
