//! Mutations of the seeds without libFuzzer, for any toolchain: `mutate SECONDS [SEED]`. It is blind to what code its bytes reach, and
//! says how to make those again that something fell over.
//! `mutate --seeds FOLDER` writes the seeds, for libFuzzer to begin with.

use std::panic::catch_unwind;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use penstock_fuzz::{archive, gzip, seeds};

struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below.max(1) as u64).unwrap_or(0)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, folder] = arguments.as_slice()
        && flag == "--seeds"
    {
        return write_seeds(Path::new(folder));
    }
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse::<u64>().ok());
    let seconds = Duration::from_secs(number(0).unwrap_or(60));
    let seed = number(1).unwrap_or_else(|| u64::from(std::process::id()) << 20 | 1);
    let (begun, mut dice, mut tried) = (Instant::now(), Dice(seed), 0_u64);
    let mut pool: Vec<Vec<u8>> = seeds();
    pool.extend(seeds().iter().map(|seed| gzip(seed)));
    while begun.elapsed() < seconds {
        let bytes = mutated(&pool, &mut dice);
        tried += 1;
        if catch_unwind(|| archive(&bytes)).is_err() {
            let kept = std::env::temp_dir().join(format!("penstock-fuzz-{seed}-{tried}"));
            let told = match std::fs::write(&kept, &bytes) {
                Ok(()) => kept.display().to_string(),
                Err(error) => format!("nowhere ({error}); it is number {tried} of seed {seed}"),
            };
            eprintln!("what it fell over is kept in {told}");
            return ExitCode::FAILURE;
        }
    }
    println!("{tried} made-up archives in {} seconds, none of which does harm (seed {seed})", seconds.as_secs());
    ExitCode::SUCCESS
}

fn write_seeds(folder: &Path) -> ExitCode {
    let written = std::fs::create_dir_all(folder).and_then(|()| {
        let mut seeds = seeds().into_iter().enumerate();
        seeds.try_for_each(|(at, seed)| std::fs::write(folder.join(format!("seed-{at}")), seed))
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

/// A few changes to one of the pool: bytes, digits where sizes are, blocks that come twice, go, or are another's.
fn mutated(pool: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    const ODD: [&[u8]; 12] = [
        b"\0", b"/", b"..", b"../", b"\xff", b"77777777777\0", b"00000000000\0", b"-1", b"\x80", b"1", b"2", b"x",
    ];
    let mut bytes = pool[dice.roll(pool.len())].clone();
    for _ in 0..=dice.roll(6) {
        let at = dice.roll(bytes.len());
        let block = at / 512 * 512;
        match dice.roll(7) {
            0 if !bytes.is_empty() => bytes[at] = u8::try_from(dice.roll(256)).unwrap_or(0),
            1 if !bytes.is_empty() => bytes[at] ^= 1 << dice.roll(8),
            2 => {
                let odd = ODD[dice.roll(ODD.len())];
                let end = bytes.len().min(at + odd.len());
                bytes[at..end].copy_from_slice(&odd[..end - at]);
            }
            3 => {
                // In a header: its name, its mode, its size, its kind or its link.
                let field = block + [0, 100, 124, 156, 157, 257, 345][dice.roll(7)] + dice.roll(8);
                let odd = ODD[dice.roll(ODD.len())];
                if let Some(place) = bytes.get_mut(field..field + odd.len()) {
                    place.copy_from_slice(odd);
                }
            }
            4 => bytes.truncate(at),
            5 => {
                let other = &pool[dice.roll(pool.len())];
                let from = dice.roll(other.len() / 512 + 1) * 512;
                let some = other[from.min(other.len())..].iter().take(1_536);
                bytes.splice(block..block, some.copied());
            }
            _ => {
                let copy: Vec<u8> = bytes[block..].iter().take(512).copied().collect();
                bytes.splice(block..block, copy);
            }
        }
    }
    bytes
}
