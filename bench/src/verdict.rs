//! What was to be reached, and whether it was. Every figure is one that should be small.

/// A figure of thence, and what is asked of it.
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) is: f64,
    pub(crate) must: f64,
    pub(crate) aim: Option<f64>,
}

impl Goal {
    pub(crate) fn new(what: impl Into<String>, is: f64, must: f64, aim: impl Into<Option<f64>>) -> Goal {
        Goal { what: what.into(), is, must, aim: aim.into() }
    }
}

/// All goals in a table, those first that are missed.
pub(crate) fn table(goals: &[Goal]) -> String {
    let missed = goals.iter().filter(|goal| goal.is > goal.must).count();
    let mut text = format!("{} of {} *must* are reached.\n\n", goals.len() - missed, goals.len());
    text += "| figure | is | must | | aim | |\n|---|---|---|---|---|---|\n";
    let (late, there): (Vec<&Goal>, Vec<&Goal>) = goals.iter().partition(|goal| goal.is > goal.must);
    for goal in late.into_iter().chain(there) {
        let said = |most: f64| if goal.is <= most { "reached" } else { "**missed**" };
        let aim = goal.aim.map_or(" | ".to_owned(), |aim| {
            format!("{} | {}", number(aim), if goal.is <= aim { "reached" } else { "missed" })
        });
        text += &format!(
            "| {} | {} | {} | {} | {aim} |\n",
            goal.what,
            number(goal.is),
            number(goal.must),
            said(goal.must)
        );
    }
    text + "\n"
}

fn number(of: f64) -> String {
    if of >= 100.0 || of.fract() == 0.0 { format!("{of:.0}") } else { format!("{of:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missed_stands_first_and_is_counted() {
        let goals = [Goal::new("near", 1.0, 1.0, 0.5), Goal::new("far", 1.25, 1.0, None)];
        let text = table(&goals);
        assert!(text.starts_with("1 of 2"), "{text}");
        assert!(
            text.contains(
                "| far | 1.250 | 1 | **missed** |  |  |\n| near | 1 | 1 | reached | 0.500 | missed |"
            ),
            "{text}"
        );
    }
}
