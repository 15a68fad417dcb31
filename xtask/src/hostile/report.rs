//! The page docs/hostile.md, written so that a reader can repeat it and disagree.

use std::fmt::Write;
use std::fs;

use thence_origin::behaviours::{self, Behaviour, End};

use super::judge::{VERDICTS, Verdict};
use super::plan::{LEN, Met, Plan, RATE, Results, Start};
use super::tools::Tool;

const STARTS: [Start; 2] = [Start::Fresh, Start::Resumed];

pub(super) fn page(plan: &Plan, results: &Results) -> String {
    let mut text = "# Hostile servers\n\nMade by `cargo xtask hostile`; run it on your machine before you believe it.\n\n".to_owned();
    text += &asked(plan, results);
    text += &settings(plan);
    text += &summary(plan, results);
    text += &table(plan, results);
    text += &wrongs(plan, results);
    text += &worse(plan, results);
    text
}

fn liars(results: &Results) -> Vec<&'static Behaviour> {
    behaviours::all().filter(|liar| results.keys().any(|(id, _, _)| *id == liar.id)).collect()
}

fn asked(plan: &Plan, results: &Results) -> String {
    format!(
        "## What was asked\n\n\
{count} servers that each bend one rule of HTTP (the rules and their words are in `crates/origin/src/behaviours/`, a line of a table each) give \
one file of {LEN} bytes over loopback, {rate} MiB/s a connection. Every program meets every server twice, each time in an empty directory with an \
origin of its own:\n\n\
- **fresh**: from byte 0.\n\
- **resumed**: first the same program with the same words fetches from an honest server that falls silent after the first half. It is ended by \
SIGINT, as Ctrl-C does, so that it can save what it wants to save. Then the server begins to lie, at the same address, and the same command runs again.\n\n\
A run is one of\n\n\
- `right`: exit 0, and the bytes are those of *any one* version that the server ever gave the file, whole. Bytes stored in the content coding in \
which they were sent (FRM-20) count as right.\n\
- `error`: any other exit code. Nothing is claimed, so nothing is wrong with it where no right bytes can be had; where they can, it is a \
weakness and no lie.\n\
- **WRONG**: exit 0, and other bytes at the final name, or no file.\n\
- `hangs`: still running after {limit} s, then killed. It may have ended later.\n\
- `crash`: ended by a signal that nobody sent.\n\n\
An `error`, `hangs` or `crash` was tried a second time and the better of the two counts, so that a busy machine is nobody's fault. A **WRONG** stands at once.\n\n\
Two notes for fairness. axel asks in HTTP/1.0, to which no server may answer in chunks: where one would, axel is not tried (`-` below, and \
fewer runs in its counts). wget reads an answer without a status line as HTTP/0.9, where everything is body, so that FRM-11 is not plainly its \
fault.\n\n\
What this does *not* show: how often such servers are met (some are common, such as a file that changed or a connection that is cut; some have \
been seen by few), speed, and anything over HTTP/2. That a part of another version is gone on with is no surprise to who knows these programs: \
\"Wget has no way of verifying that the local file is really a valid prefix of the remote file\", says its manual. The behaviours were written by the authors of thence to test thence, which was \
mended until it met them; the others were not.\n\n",
        count = liars(results).len(),
        rate = RATE >> 20,
        limit = plan.limit.as_secs(),
    )
}

fn settings(plan: &Plan) -> String {
    let mut text = "## With what\n\n".to_owned();
    for tool in &plan.tools {
        line(&mut text, &format!("- {}: `{}`", tool.version(&plan.binary), tool.said()));
    }
    line(
        &mut text,
        &format!(
            "\naxel's `~/.axelrc` says `{}`; else it waits 20 s before it tries again.",
            super::tools::AXELRC.trim()
        ),
    );
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel: Vec<&str> = kernel.trim().split('.').take(2).collect();
    let cores = thread_count();
    text += &format!(
        "\n`THENCE_HURRY=30` divides every time-out and wait of thence by thirty (a stall of 30 s is one of 1 s); the others have their own options for \
that above, where they have any. Over TLS (FRM-14) each is given the test's authority but axel, which takes none and is told `--insecure`. \
Linux {}, {cores} cores, {} runs at a time.\n\n\
To repeat it: `cargo xtask hostile` (Debian packages are installed if you are root); one server alone `cargo xtask hostile --only frm_01`, or by hand \
`cargo xtask origin --behaviour frm_01`.\n\n",
        kernel.join("."),
        plan.jobs
    );
    text
}

fn thread_count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn summary(plan: &Plan, results: &Results) -> String {
    let mut text = "## In numbers\n\n".to_owned();
    for (title, refused) in [
        ("Servers from which the right bytes can be had by the rules", false),
        (
            "Servers whose every answer breaks a rule of HTTP or leads nowhere that may be followed, or never comes in the time that is allowed; thence is to give an error",
            true,
        ),
    ] {
        let of = |liar: &&&Behaviour| (liar.end == End::Refused) == refused;
        let all = liars(results);
        let ids: Vec<&str> = all.iter().filter(of).map(|liar| liar.id).collect();
        line(
            &mut text,
            &format!("{title} ({} servers, up to {} runs a program):\n", ids.len(), 2 * ids.len()),
        );
        line(&mut text, "| | right | error | crash | hangs | WRONG |\n|---|---|---|---|---|---|");
        for tool in &plan.tools {
            let counts = VERDICTS.map(|verdict| count(results, tool, &ids, verdict).to_string());
            line(&mut text, &format!("| {} | {} |", tool.name, counts.join(" | ")));
        }
        text.push('\n');
    }
    text
}

fn count(results: &Results, tool: &Tool, ids: &[&str], verdict: Verdict) -> usize {
    let of = |(id, name, _): &(&str, &str, Start)| *name == tool.name && ids.contains(id);
    results.iter().filter(|(key, met)| of(key) && met.verdict == verdict).count()
}

fn table(plan: &Plan, results: &Results) -> String {
    let mut text = "## Server by server\n\nEach cell is fresh / resumed, or one word if both ended so. *Must*: what thence's own tests demand of it, over 1, 4 and 16 \
connections: `right`, or `error` with a part that can be gone on with.\n\n"
        .to_owned();
    let names: Vec<&str> = plan.tools.iter().map(|tool| tool.name).collect();
    line(&mut text, &format!("| server | what it does | must | {} |", names.join(" | ")));
    line(&mut text, &format!("|---|---|---|{}", "---|".repeat(names.len())));
    for liar in liars(results) {
        let cells: Vec<String> = plan.tools.iter().map(|tool| cell(results, liar, tool)).collect();
        let must = if liar.end == End::Refused { "error" } else { "right" };
        line(
            &mut text,
            &format!("| {} | {} | {must} | {} |", liar.id, liar.what.replace('|', "\\|"), cells.join(" | ")),
        );
    }
    text.push('\n');
    text
}

fn cell(results: &Results, liar: &Behaviour, tool: &Tool) -> String {
    let words: Vec<&str> =
        STARTS.iter().filter_map(|start| Some(met(results, liar, tool, *start)?.verdict.word())).collect();
    match words.as_slice() {
        [fresh, resumed] if fresh != resumed => format!("{fresh} / {resumed}"),
        [one, ..] => (*one).to_owned(),
        [] => "-".to_owned(),
    }
}

fn met<'a>(results: &'a Results, liar: &Behaviour, tool: &Tool, start: Start) -> Option<&'a Met> {
    results.get(&(liar.id, tool.name, start))
}

/// Each wrong file, and what was in it.
fn wrongs(plan: &Plan, results: &Results) -> String {
    let mut text = "## What was WRONG\n\nThe exit code was 0 each time.\n\n".to_owned();
    for tool in &plan.tools {
        let of = |liar: &&'static Behaviour| STARTS.map(|start| (*liar, start));
        let met = liars(results)
            .iter()
            .flat_map(of)
            .filter_map(|(liar, start)| Some((liar, start, met(results, liar, tool, start)?)))
            .collect::<Vec<_>>();
        let wrong: Vec<_> = met.iter().filter(|(_, _, met)| met.verdict == Verdict::Wrong).collect();
        line(&mut text, &format!("### {}\n", tool.name));
        if wrong.is_empty() {
            line(&mut text, "Nothing.");
        }
        for (liar, start, met) in wrong {
            line(&mut text, &format!("- {} {}, {}: {}.", liar.id, word(*start), liar.what, met.how));
        }
        text.push('\n');
    }
    text
}

/// Where another program got the right bytes and thence did not.
fn worse(plan: &Plan, results: &Results) -> String {
    let mut text = "## Where thence gave an error and another program had the right bytes\n\nIt refuses by rule what it cannot prove; where the guess would have been right, that is a price.\n\n".to_owned();
    let Some((ours, peers)) = plan.tools.split_first() else { return text };
    for liar in liars(results) {
        for start in STARTS {
            let is_right = |tool: &Tool| {
                met(results, liar, tool, start).is_some_and(|met| met.verdict == Verdict::Right)
            };
            let Some(own) = met(results, liar, ours, start).filter(|_| !is_right(ours)) else { continue };
            let better: Vec<&str> =
                peers.iter().filter(|tool| is_right(tool)).map(|tool| tool.name).collect();
            if !better.is_empty() {
                line(
                    &mut text,
                    &format!(
                        "- {} {}, {}: {} ({}).",
                        liar.id,
                        word(start),
                        liar.what,
                        better.join(", "),
                        own.how
                    ),
                );
            }
        }
    }
    text
}

fn word(start: Start) -> &'static str {
    match start {
        Start::Fresh => "fresh",
        Start::Resumed => "resumed",
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes what is written");
}
