//! tmp
fn main() {
    let a: u64 = std::env::args().nth(1).unwrap().parse().unwrap();
    let b: u64 = std::env::args().nth(2).unwrap().parse().unwrap();
    let told = std::env::args().nth(3).is_some();
    let t = std::time::Instant::now();
    let mut time = 0; let mut ops = 0; let mut granted=0; let mut faults=0; let mut worst=0;
    for seed in a..b {
        let mut story = castor_sim::world::Story::default();
        story.told = told;
        let o = castor_sim::run::run(seed, story);
        time += o.time; ops += o.operations; granted += o.granted; faults += o.faults.values().sum::<u64>();
        worst = worst.max(o.healed_after);
        if let Some(v) = o.violation { println!("seed {seed} size {} at {} ms: {}: {:.600}", o.size, v.at/1000, v.invariant, v.what); }
    }
    println!("{} s sim, {} ops/s granted {} , one fault per {:.1} s, worst heal {} ms, real {:?}", time/1_000_000, ops as f64/(time as f64/1e6), granted as f64/ops as f64, time as f64/1e6/faults as f64, worst/1000, t.elapsed());
}
