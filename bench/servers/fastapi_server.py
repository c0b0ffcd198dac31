"""FastAPI on uvicorn (uvloop, httptools), the handler in FastAPI's thread pool."""

import os

import uvicorn
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool

from bench.servers.handler import Handler

app, handler = FastAPI(), Handler()


@app.post("/predict")
async def predict(request: Request) -> dict:  # type: ignore[type-arg]
    return await run_in_threadpool(handler, await request.body())


uvicorn.run(app, host="127.0.0.1", port=int(os.environ["BENCH_PORT"]), log_level="warning")
