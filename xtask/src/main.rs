//! Developer commands. `cargo xtask` without arguments lists them.

use std::process::ExitCode;

mod bench;
mod coverage;
mod crash;
mod fuzz;
mod hostile;
mod limits;
mod mutants;
mod origin;
mod picture;
mod plant;
mod powercut;
mod proof;
mod record;
mod rows;
mod sim;
mod states;
mod test;

use xtask::options::Options;
use xtask::{options, packages, shell};

const HELP: &str = "\
cargo xtask test                        everything CI checks; stops at the first step that fails
cargo xtask sim [--runs N] [--seed S] [--jobs J] [--record]
                                        the planner in the simulator; a fresh seed unless one is given
cargo xtask states [--count N] [--seed S] [--first K] [--all 12] [--record]
                                        crashes of the files at any call: N states of a seed, and what the next run makes of them;
                                        all: every choice of up to so many unsynced changes
cargo xtask crash [--kills N] [--lanes 1,4,16] [--size 64M] [--seconds 2.5] [--jobs 4] [--seed S] [--from nginx|even]
            [--nested] [--record]
                                        SIGKILL at random instants, resumed, until N kills for each number of lanes; nested:
                                        two to ten in each download, none may leave less than it found
cargo xtask crash --calls [--jobs 4] [--seed S] [--record]
                                        SIGKILL at every system call of a small download, and of one that goes on
cargo xtask powercut [--cuts N] [--kind ext4,xfs,btrfs] [--size 24M] [--rate 2M] [--jobs 16] [--seed S] [--record]
                                        power cuts at random instants on file systems in loop devices, as root: N in all
cargo xtask plant [--of plan|engine] [--only NAME] [--record]
                                        puts each bug of crates/*/plants into a copy of the tree: is it seen?
cargo xtask fuzz [--target NAME] [--minutes 10] [--record]
                                        the fuzzers of fuzz/ one after the other (nightly compiler, cargo-fuzz)
cargo xtask mutants [--of plan|journal] [--shard K/N] [--jobs J] [--record]
                                        small changes of the planner or the journal, each K-th of N: are they seen?
cargo xtask coverage [--of plan|engine|app|all]
                                        which lines the tests run, a file a line; what must be whole is checked
cargo xtask proof [--check]             makes docs/proof.md of docs/proof.csv; or says whether it is that
cargo xtask bench [--runs 5] [--part bulk,small,shaped,resume,start] [--size 1G[,4G]] [--lanes 1,4,16[,64]] [--to disk,tmpfs]
            [--over plain,tls]          beside aria2, curl, wget, wget2 and axel, all of it or some parts, as root; writes docs/bench.md
cargo xtask bench --scene NAME[,NAME]|all [--runs 5] [--programs thence,aria2-16,axel-32,curl|all]
            [--trace]                   on a shaped network, as root: time over the ideal, CPU, connections, refusals, waste;
                                        trace: draws docs/plots/NAME.svg and prints each decision
cargo xtask bench --growth [--largest 64G] [--lanes 1,4,16,64,256] [--downloads 1,...,10000] [--lines 1000,...,1000000]
                                        how cost grows; writes its part of docs/performance.md, with plots
cargo xtask bench --micro               the planner, the judge, the journal and the hash, by criterion
cargo xtask hostile [--peers aria2,curl,wget,axel] [--only ID] [--limit 20] [--jobs 2]
                                        against every lying server, fresh and resumed; writes docs/hostile.md
cargo xtask limits                      what each flood costs in memory; writes the table of docs/limits.md
cargo xtask origin [--behaviour ID] [--port P] [--size 6M] [--rate 8M]
                                        one lying server by hand on loopback; without ID they are listed
cargo xtask rows                        which test cases have a test of their id
cargo xtask picture                     records the README's picture anew (docs/picture.svg)
`--record` appends what was tried to docs/proof.csv.
`--binary PATH` makes crash, powercut, bench, hostile, limits and picture try another build.
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    if command == "bench" {
        return end(bench::run(&args.collect::<Vec<_>>()));
    }
    let done = Options::parse(args).and_then(|options| match command.as_str() {
        "test" => test::run(&options),
        "coverage" => coverage::run(&options),
        "crash" => crash::run(&options),
        "fuzz" => fuzz::run(&options),
        "hostile" => hostile::run(&options),
        "limits" => limits::run(&options),
        "mutants" => mutants::run(&options),
        "origin" => origin::run(&options),
        "picture" => picture::run(&options),
        "plant" => plant::run(&options),
        "powercut" => powercut::run(&options),
        "proof" => proof::run(&options),
        "rows" => rows::run(&options),
        "sim" => sim::run(&options),
        "states" => states::run(&options),
        _ => Err(format!("usage:\n{HELP}")),
    });
    end(done)
}

fn end(done: Result<(), String>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
