FROM rust:1.95-bookworm AS build
WORKDIR /populace
COPY . .
RUN cargo build --profile dist --locked -p populace --features kafka

FROM debian:bookworm-slim
RUN useradd --system --create-home populace
COPY --from=build /populace/target/dist/populace /usr/local/bin/populace
USER populace
ENTRYPOINT ["populace"]
