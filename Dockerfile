# The operator's image: one static program and nothing else. `cargo xtask image` builds the same without an engine.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# aws-lc, the TLS library, is built from C.
RUN apt-get update && apt-get install -y --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
RUN RUSTFLAGS="-C target-feature=+crt-static" \
    cargo build --release --locked --package tenure-operator --target "$(uname -m)-unknown-linux-gnu" \
    && cp target/*-unknown-linux-gnu/release/tenure /tenure

FROM scratch
COPY --from=build /tenure /tenure
USER 65532:65532
ENTRYPOINT ["/tenure"]
