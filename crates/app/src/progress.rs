//! One line that says how far a download is. Pure: the width, the characters and the time are arguments; `report.rs`
//! draws. Percent counts unique bytes held and never rounds up to 100; speed counts what this run read from sockets.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use indicatif::HumanBytes;
use thence::Progress;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Speed is the mean over this long: short enough to follow a change, long enough not to flicker.
const WINDOW: Duration = Duration::from_secs(5);

/// Characters for cells that are empty, held in part (three shades), and held whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Glyphs {
    cells: [char; 5],
    ends: [char; 2],
    ellipsis: &'static str,
}

impl Glyphs {
    pub(crate) const UNICODE: Glyphs =
        Glyphs { cells: [' ', '░', '▒', '▓', '█'], ends: ['▕', '▏'], ellipsis: "…" };
    pub(crate) const ASCII: Glyphs =
        Glyphs { cells: [' ', '.', ':', '+', '#'], ends: ['[', ']'], ellipsis: "..." };

    /// By the first of `LC_ALL`, `LC_CTYPE`, `LANG` that is set, as the C library chooses.
    pub(crate) fn of_locale(var: impl Fn(&str) -> Option<String>) -> Glyphs {
        let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(var).find(|value| !value.is_empty());
        let plain = set.unwrap_or_default().to_ascii_lowercase().replace('-', "");
        if plain.contains("utf8") { Glyphs::UNICODE } else { Glyphs::ASCII }
    }
}

/// Bytes a second over the last few seconds of this run.
#[derive(Debug, Default)]
pub(crate) struct Speed {
    samples: VecDeque<(Instant, u64)>,
}

impl Speed {
    /// `wire` bytes had come by `now`.
    pub(crate) fn sample(&mut self, now: Instant, wire: u64) {
        self.samples.push_back((now, wire));
        // One sample older than the window stays, so that the mean is over at least the window.
        while self.samples.len() > 2 && now.duration_since(self.samples[1].0) >= WINDOW {
            self.samples.pop_front();
        }
    }

    /// 0 until there are two samples.
    pub(crate) fn rate(&self) -> f64 {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else { return 0.0 };
        let seconds = last.0.duration_since(first.0).as_secs_f64();
        if seconds > 0.0 { last.1.saturating_sub(first.1) as f64 / seconds } else { 0.0 }
    }
}

/// What is known of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Count {
    /// Entries read so far.
    pub(crate) known: u64,
    /// All of the list is read.
    pub(crate) over: bool,
    /// Done by earlier runs.
    pub(crate) before: u64,
    pub(crate) done: u64,
    /// Of those done in this run, those whose servers have no other version.
    pub(crate) unchanged: u64,
    pub(crate) failed: u64,
    /// Of those done in this run.
    pub(crate) bytes: u64,
    pub(crate) wire: u64,
    pub(crate) active: u32,
}

/// Whole percent of unique bytes; 100 only when nothing is missing.
pub(crate) fn percent(held: u64, total: u64) -> u32 {
    if held >= total {
        return 100;
    }
    // The quotient is under 100 since held < total.
    u32::try_from(u128::from(held) * 100 / u128::from(total)).unwrap_or(99)
}

/// Whole seconds left; `None` while nothing comes or the end is unknown.
pub(crate) fn left(progress: &Progress, rate: f64) -> Option<u64> {
    let missing = progress.total?.saturating_sub(progress.held);
    let seconds = missing as f64 / rate;
    // Over 1,000 hours is no forecast any more; rate 0 gives infinity or NaN and lands here too.
    (seconds < 3_600_000.0).then_some(seconds.ceil() as u64)
}

/// `m:ss` or `h:mm:ss`.
pub(crate) fn clock(seconds: u64) -> String {
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if h > 0 { format!("{h}:{m:02}:{s:02}") } else { format!("{m}:{s:02}") }
}

/// `bytes` in binary units.
pub(crate) fn bytes(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

fn lanes(count: u32) -> String {
    if count == 1 { "1 lane".into() } else { format!("{count} lanes") }
}

/// The line for a pipe.
pub(crate) fn plain(name: &str, progress: &Progress, rate: f64) -> String {
    let far = match progress.total {
        Some(total) => format!("{} % of {}", percent(progress.held, total), bytes(total)),
        None => bytes(progress.held),
    };
    let left = left(progress, rate).map(|s| format!(", {} left", clock(s))).unwrap_or_default();
    format!("{name}: {far}, {}/s{left}, {}", bytes(rate as u64), lanes(progress.lanes))
}

/// The line for a terminal of `width` columns: name, map, percent, speed, time left, lanes; what does not fit is left
/// out from the right.
pub(crate) fn line(name: &str, progress: &Progress, rate: f64, width: usize, glyphs: Glyphs) -> String {
    let mut tail = match progress.total {
        Some(total) => format!(" {:>3} %", percent(progress.held, total)),
        None => format!(" {:>10}", bytes(progress.held)),
    };
    let time = left(progress, rate).map_or_else(|| "-:--".into(), clock);
    let more = [
        format!(" {:>12}/s", bytes(rate as u64)),
        format!(" {time:>8}"),
        format!("  {:<8}", lanes(progress.lanes)),
    ];
    for (piece, needs) in more.iter().zip([40, 52, 64]) {
        if width >= needs {
            tail.push_str(piece);
        }
    }
    let room = width.saturating_sub(tail.width());
    let cells = if progress.map.is_empty() { 0 } else { cells_in(room.saturating_sub(10)) };
    let bar = if cells > 0 { bar(&progress.map, cells, glyphs) } else { String::new() };
    let name_width = room.saturating_sub(bar.width() + usize::from(cells > 0)).min(32);
    let gap = if cells > 0 { " " } else { "" };
    fit(name, name_width, glyphs.ellipsis) + gap + &bar + tail.trim_end()
}

/// The map alone, one glyph a stretch; `None` while there is none.
pub(crate) fn shaded(progress: &Progress, glyphs: Glyphs) -> Option<String> {
    (!progress.map.is_empty()).then(|| bar(&progress.map, progress.map.len(), glyphs))
}

/// The widest bar that leaves the rest some room; powers of two, because the map has 64 stretches.
fn cells_in(room: usize) -> usize {
    [64, 32, 16, 8].into_iter().find(|cells| cells + 2 <= room).unwrap_or(0)
}

/// One glyph a cell: empty only where nothing is held, full only where nothing is missing.
fn bar(map: &[u8], cells: usize, glyphs: Glyphs) -> String {
    let cell = |i: usize| {
        let stretch =
            &map[i * map.len() / cells..((i + 1) * map.len() / cells).max(i * map.len() / cells + 1)];
        let held: usize = stretch.iter().map(|&b| usize::from(b)).sum();
        let full = 255 * stretch.len();
        glyphs.cells[if held == 0 {
            0
        } else if held == full {
            4
        } else {
            1 + held * 3 / full
        }]
    };
    let [open, close] = glyphs.ends;
    std::iter::once(open).chain((0..cells.min(map.len())).map(cell)).chain(std::iter::once(close)).collect()
}

/// `name` in exactly `width` columns, its end cut off if it must be.
fn fit(name: &str, width: usize, ellipsis: &str) -> String {
    let mut out = String::new();
    if name.width() > width {
        let mut used = ellipsis.width();
        for c in name.chars() {
            used += c.width().unwrap_or(0);
            if used > width {
                break;
            }
            out.push(c);
        }
        if ellipsis.width() <= width {
            out.push_str(ellipsis);
        }
    } else {
        out.push_str(name);
    }
    out.extend(std::iter::repeat_n(' ', width.saturating_sub(out.width())));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half() -> Progress {
        let map = (0..64).map(|i| if i < 32 { 255 } else { 0 }).collect();
        Progress { total: Some(1000), held: 500, wire: 100, lanes: 8, map }
    }

    #[test]
    fn percent_never_lies_upwards() {
        assert_eq!([percent(0, 10), percent(999, 1000), percent(10, 10), percent(11, 10)], [0, 99, 100, 100]);
        assert_eq!((percent(0, 0), percent(u64::MAX - 1, u64::MAX)), (100, 99));
    }

    #[test]
    fn the_bar_shows_which_parts_are_held() {
        let mut map = half().map;
        map[63] = 255;
        assert_eq!(bar(&map, 8, Glyphs::UNICODE), "▕████   ░▏");
        assert_eq!(bar(&map, 8, Glyphs::ASCII), "[####   .]");
    }

    #[test]
    fn one_missing_byte_keeps_a_cell_from_looking_whole() {
        let mut map = vec![255; 64];
        map[0] = 254;
        assert_eq!(bar(&map, 8, Glyphs::ASCII), "[+#######]");
        assert_eq!(bar(&[1; 64], 8, Glyphs::ASCII), "[........]");
    }

    #[test]
    fn a_line_is_never_wider_than_the_terminal() {
        let unknown = Progress { held: 5, lanes: 1, ..Progress::default() };
        for width in 0..200 {
            for name in ["a", "日本語日本語日本語日本語日本語日本語.iso", &"x".repeat(300)]
            {
                for progress in [&half(), &unknown] {
                    let line = line(name, progress, 1.5e6, width, Glyphs::UNICODE);
                    assert!(line.width() <= width.max(12), "{width}: {line}");
                }
            }
        }
    }

    #[test]
    fn a_line_at_80_columns_says_everything() {
        let line = line("debian.iso", &half(), 100.0, 80, Glyphs::ASCII);
        assert_eq!(line, "debian.iso            [########        ]  50 %        100 B/s     0:05  8 lanes");
    }

    #[test]
    fn unknown_length_shows_bytes_and_speed_and_no_percent() {
        let progress = Progress { held: 2048, lanes: 1, ..Progress::default() };
        assert_eq!(plain("a", &progress, 0.0), "a: 2.00 KiB, 0 B/s, 1 lane");
        assert!(!line("a", &progress, 0.0, 80, Glyphs::ASCII).contains('%'));
    }

    #[test]
    fn speed_is_the_mean_of_the_last_seconds() {
        let (mut speed, start) = (Speed::default(), Instant::now());
        for second in 0..=20 {
            speed.sample(
                start + Duration::from_secs(second),
                if second <= 10 { 1_000_000 } else { 1_000_000 + (second - 10) * 100 },
            );
        }
        assert_eq!(speed.rate().round(), 100.0);
        assert_eq!(Speed::default().rate(), 0.0);
    }

    #[test]
    fn time_left_is_known_only_while_bytes_come() {
        assert_eq!((left(&half(), 100.0), left(&half(), 0.0)), (Some(5), None));
        assert_eq!([clock(0), clock(61), clock(3661)], ["0:00", "1:01", "1:01:01"]);
    }

    #[test]
    fn the_locale_decides_the_glyphs() {
        let of = |all: &str, lang: &str| {
            let vars = [("LC_ALL", all.to_owned()), ("LANG", lang.to_owned())];
            Glyphs::of_locale(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| v.clone()))
        };
        assert_eq!(of("", "de_DE.UTF-8"), Glyphs::UNICODE);
        assert_eq!((of("C", "de_DE.UTF-8"), of("", "")), (Glyphs::ASCII, Glyphs::ASCII));
    }
}
