FROM rust:1.95-bookworm AS build
WORKDIR /populace
COPY . .
RUN cargo build --release --locked -p populace --features kafka

FROM debian:bookworm-slim
RUN useradd --system --create-home populace
COPY --from=build /populace/target/release/populace /usr/local/bin/populace
USER populace
ENTRYPOINT ["populace"]
