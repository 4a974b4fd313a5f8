"""The least that FastAPI can do: a route that looks at nothing and answers next to nothing."""

from fastapi import FastAPI


def create_app() -> FastAPI:
    app = FastAPI()

    @app.get("/livez")
    @app.post("/v1/credentials")
    async def empty() -> dict[str, str]:
        return {"status": "ok"}

    return app
