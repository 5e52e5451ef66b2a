//! docs/cli.md, made from the command line itself; a test keeps the file up to date.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};

use crate::args::Arguments;

const HEAD: &str = "\
# The `rollback` command

Every command with its options, written from the command line itself. What things mean, and when to use what, is in the
[operator guide](operator-guide.md).
";

/// Every command with its options, as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut root = Arguments::command();
    root.build();
    let mut out = HEAD.to_owned();
    let shown: Vec<_> = root.get_subcommands().filter(|command| is_shown(command)).collect();
    out.push_str("\n| command | what it does |\n|---|---|\n");
    for command in &shown {
        let name = command.get_name();
        let _ = writeln!(out, "| [`rollback {name}`](#rollback-{name}) | {} |", about(command));
    }
    out.push_str("\n## Everywhere\n");
    options(&mut out, root.get_arguments().filter(|argument| argument.is_global_set()));
    for command in shown {
        section(&mut out, "rollback", command, 2);
    }
    let codes = root.get_after_help().map(ToString::to_string).unwrap_or_default();
    let _ = write!(out, "\n## Exit codes\n\n```text\n{}\n```\n", codes.trim_end());
    out
}

fn is_shown(command: &Command) -> bool {
    !command.is_hide_set() && command.get_name() != "help"
}

fn section(out: &mut String, parent: &str, command: &Command, depth: usize) {
    let name = format!("{parent} {}", command.get_name());
    let _ = write!(out, "\n{} `{name}`\n\n{}.\n", "#".repeat(depth), about(command));
    let own = || command.get_arguments().filter(|argument| !argument.is_global_set() && !is_help(argument));
    let mut usage = name.clone();
    if own().any(|argument| !argument.is_positional() && !argument.is_required_set()) {
        usage += " [OPTIONS]";
    }
    for argument in own().filter(|argument| !argument.is_positional() && argument.is_required_set()) {
        let _ = write!(usage, " {}", spelled(argument));
    }
    for argument in own().filter(|argument| argument.is_positional()) {
        let _ = write!(usage, " {}", placeholder(argument));
    }
    let _ = write!(out, "\n```console\n$ {usage}\n```\n");
    options(out, own());
    for inner in command.get_subcommands().filter(|inner| is_shown(inner)) {
        section(out, &name, inner, depth + 1);
    }
}

fn is_help(argument: &Arg) -> bool {
    use clap::ArgAction::{Help, HelpLong, HelpShort, Version};
    matches!(argument.get_action(), Help | HelpLong | HelpShort | Version)
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn options<'a>(out: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    let arguments: Vec<_> =
        arguments.filter(|argument| !argument.is_hide_set() && !is_help(argument)).collect();
    if arguments.is_empty() {
        return;
    }
    out.push_str("\n| option | meaning |\n|---|---|\n");
    for argument in arguments {
        let _ = writeln!(out, "| `{}` | {} |", spelled(argument), meaning(argument).replace('|', "\\|"));
    }
}

fn spelled(argument: &Arg) -> String {
    if argument.is_positional() {
        return placeholder(argument);
    }
    let mut names = Vec::new();
    names.extend(argument.get_short().map(|short| format!("-{short}")));
    names.extend(argument.get_long().map(|long| format!("--{long}")));
    let value = if argument.get_action().takes_values() {
        format!(" {}", value_name(argument))
    } else {
        String::new()
    };
    names.join(", ") + &value
}

fn value_name(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    names.first().map_or_else(|| argument.get_id().to_string().to_uppercase(), ToString::to_string)
}

fn placeholder(argument: &Arg) -> String {
    let name = value_name(argument);
    let many = argument.get_num_args().is_some_and(|range| range.max_values() > 1);
    let name = if many { format!("{name}…") } else { name };
    if argument.is_required_set() { name } else { format!("[{name}]") }
}

fn meaning(argument: &Arg) -> String {
    let mut text = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let possible: Vec<_> = if argument.get_action().takes_values() {
        argument.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect()
    } else {
        Vec::new()
    };
    if !possible.is_empty() {
        let _ = write!(text, ": {}", possible.join(", "));
    }
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !defaults.is_empty() && argument.get_action().takes_values() {
        let _ = write!(text, " (default `{}`)", defaults.join(" "));
    }
    if let Some(variable) = argument.get_env() {
        let _ = write!(text, " (or the variable `{}`)", variable.to_string_lossy());
    }
    text
}
