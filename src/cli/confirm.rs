//! Asks before something that cannot be taken back.

use std::io::{self, BufRead, IsTerminal, Write};

/// Whether to go on. Only a person is asked: a script, where nobody could answer, has decided before it called.
pub(super) fn confirm(question: &str, yes: bool, err: &mut dyn Write) -> io::Result<bool> {
    let is_person = io::stdin().is_terminal() && io::stderr().is_terminal();
    if yes || !is_person { Ok(true) } else { ask(question, &mut io::stdin().lock(), err) }
}

fn ask(question: &str, input: &mut dyn BufRead, err: &mut dyn Write) -> io::Result<bool> {
    write!(err, "{question} [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::ask;

    #[test]
    fn only_a_clear_yes_counts() {
        for (answer, agrees) in [
            ("y\n", true),
            ("Y\n", true),
            ("yes\n", true),
            ("\n", false),
            ("", false),
            ("n\n", false),
            ("yeah", false),
        ] {
            let mut asked = Vec::new();
            assert_eq!(ask("Go on?", &mut answer.as_bytes(), &mut asked).unwrap(), agrees, "{answer:?}");
            assert_eq!(asked, b"Go on? [y/N] ");
        }
    }
}
