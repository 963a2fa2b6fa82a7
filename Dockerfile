# docker build -t naru .
# docker run -e NARU_ADVERTISE=localhost:9410 -p 9410:9410 -p 9411:9411 -v naru:/var/lib/naru naru
#
# NARU_ADVERTISE is what clients are told to connect to: the host and port at which they reach this container. Without
# it they are told 0.0.0.0:9410, which is right for none but those inside.
FROM debian:bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates git && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# The packages first, so that a change of the code does not install them again.
COPY dev ./
RUN ./dev setup
COPY . .
RUN ./dev build release narud naru

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
      ca-certificates libgrpc++1.51 libprotobuf32 libabsl20220623 librocksdb7.8 libspdlog1.10 \
      libprometheus-cpp-core1.0 libyaml-cpp0.7 libjemalloc2 libisal2 \
      zlib1g liblz4-1 libzstd1 libsnappy1v5 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home --home-dir /var/lib/naru naru \
    && install -d -o naru -g naru /var/lib/naru
COPY --from=build /src/build/release/bin/narud /src/build/release/bin/naru /usr/local/bin/
USER naru
VOLUME /var/lib/naru
EXPOSE 9410 9411
ENTRYPOINT ["narud", "--data-dir=/var/lib/naru", "--listen=0.0.0.0:9410", "--http=0.0.0.0:9411"]
