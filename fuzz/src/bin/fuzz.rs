//! The libFuzzer binary of all targets; `fuzz/run` builds and starts it. The variable `FUZZ_TARGET` names the target.

#![no_main]

use std::sync::OnceLock;

use rollback_fuzz::mutate::Mutator;
use rollback_fuzz::{TARGETS, Target};

fn target() -> &'static Target {
    static CHOSEN: OnceLock<&'static Target> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let wanted = std::env::var("FUZZ_TARGET").unwrap_or_default();
        rollback_fuzz::target(&wanted).unwrap_or_else(|| {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            panic!("FUZZ_TARGET must be one of: {}", names.join(", "))
        })
    })
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| (target().check)(data));

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut mutator = Mutator::new(u64::from(seed), target().form);
    // The fuzzer's own mutations know the comparisons that were seen; ours know the form.
    if mutator.below(10) < 4 {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    let changed = mutator.mutate(&data[..size]);
    if changed.is_empty() || changed.len() > max_size {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    data[..changed.len()].copy_from_slice(&changed);
    changed.len()
});
