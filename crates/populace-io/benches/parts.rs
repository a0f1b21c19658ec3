//! What the parts cost: a block, a draw, an actor, a cell. `cargo bench -p populace-io`.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use populace_core::dist::{Beta, Categorical, LogNormal, StandardNormal, Tabulated};
use populace_core::philox::philox4x64;
use populace_core::plan::Shard;
use populace_core::stream::{ActorId, Purpose, Source, StreamKey};
use populace_io::catalogue;
use populace_io::digest::Digest;
use populace_io::document::{Request, Source as DocumentSource};
use populace_io::generator::{Generator, TableSet};
use populace_io::text::TextFormat;
use std::hint::black_box;

fn streams(criterion: &mut Criterion) {
    let key = StreamKey::root(1, "bench").actor(ActorId(7)).purpose(Purpose::new(1));
    let mut group = criterion.benchmark_group("stream");
    group.bench_function("philox block of 4 words", |bencher| {
        let mut counter = 0;
        bencher.iter(|| {
            counter += 1;
            philox4x64([counter, 0, 0, 0], [1, 2])
        });
    });
    group.bench_function("open a coordinate and draw 4", |bencher| {
        let mut ordinal = 0;
        bencher.iter(|| {
            ordinal += 1;
            let words = key.ordinal(ordinal).words();
            words.word::<0>() ^ words.word::<1>() ^ words.word::<2>() ^ words.word::<3>()
        });
    });
    group.bench_function("one word of a long stream", |bencher| {
        let mut draws = key.ordinal(0).draws();
        bencher.iter(|| draws.next_u64());
    });
    group.finish();
}

fn samplers(criterion: &mut Criterion) {
    let mut draws = StreamKey::root(1, "bench").actor(ActorId(7)).purpose(Purpose::new(2)).ordinal(0).draws();
    let mut group = criterion.benchmark_group("sampler, its words included");
    let normal = StandardNormal::default();
    group.bench_function("normal", |bencher| bencher.iter(|| normal.sample(&mut draws)));
    let lognormal = LogNormal::new(12.0, 0.4).expect("sound parameters");
    group.bench_function("lognormal", |bencher| bencher.iter(|| lognormal.sample(&mut draws)));
    let beta = Beta::new(2.0, 2.5).expect("sound parameters");
    group.bench_function("beta", |bencher| bencher.iter(|| beta.sample(&mut draws)));
    let poisson = Tabulated::poisson(0.8).expect("sound parameters");
    group.bench_function("poisson", |bencher| bencher.iter(|| poisson.sample(&mut draws)));
    let categorical = Categorical::new(&[0.5, 1.0, 2.0, 0.3, 1.5, 0.2]).expect("sound parameters");
    group.bench_function("categorical", |bencher| bencher.iter(|| categorical.sample(&mut draws)));
    group.finish();
}

fn generator(name: &str) -> Box<dyn Generator> {
    let resolved = catalogue::resolve(&Request::new(DocumentSource::Named(name))).expect("a built-in document is sound");
    catalogue::generator(&resolved).expect("a built-in document is sound")
}

fn scenarios(criterion: &mut Criterion) {
    for name in ["email", "traces", "churn"] {
        let generator = generator(name);
        let generator = generator.as_ref();
        let shard = Shard { index: 0, actors: 0..40 };
        let rows = generator.count(1, shard.actors.clone());
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(rows));
        group.bench_function("simulated", |bencher| bencher.iter(|| generator.count(black_box(1), shard.actors.clone())));
        for (what, truth) in [("as columns", false), ("as columns, with truth", true)] {
            let tables = TableSet::of(generator.tables(), |table| truth || !table.truth);
            group.bench_function(what, |bencher| bencher.iter(|| generator.simulate(black_box(1), &shard, tables).finish(0)));
        }
        let table = &generator.tables()[generator.main_table()];
        let tables = TableSet::EMPTY.with(generator.main_table());
        let (batches, _) = generator.simulate(1, &shard, tables).finish(0);
        let batch = batches[generator.main_table()].as_ref().expect("the main table was asked for");
        for (what, format) in [("main table as CSV", TextFormat::Csv), ("main table as JSON Lines", TextFormat::Jsonl)] {
            group.bench_function(what, |bencher| {
                bencher.iter_batched_ref(|| Vec::with_capacity(8 << 20), |out| format.append(table, batch, out), BatchSize::LargeInput);
            });
        }
        group.bench_function("digest of the main table", |bencher| {
            let mut hashes = Vec::new();
            bencher.iter(|| Digest::of(table, batch, &mut hashes));
        });
        group.finish();
    }
}

criterion_group!(parts, streams, samplers, scenarios);
criterion_main!(parts);
