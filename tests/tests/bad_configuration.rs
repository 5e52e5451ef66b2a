//! A broken `rollback.toml`, and command lines that name what is not there.

use rollback_tests::{Binaries, Result, Site};

const BINARIES: Binaries = rollback_tests::binaries!();

/// Every command refuses the configuration, and nothing changes.
#[track_caller]
fn refuses(text: &str, texts: &[&str]) -> Result<()> {
    let site = Site::plain(BINARIES)?;
    let text = text.replace("ROOT", &site.root().display().to_string());
    site.write_configuration(&text)?;
    for line in ["status", "run web --to revision=v1 --yes", "plan --to revision=v1 -o p.json", "resume"] {
        let ran = site.refuses(line, 2, texts)?;
        assert!(ran.err.contains("rollback.toml"), "the file is not named: {ran}");
    }
    assert!(!site.path(".rollback").exists(), "not even a store is made");
    Ok(())
}

const WEB: &str = "[components.web]\ndriver = \"local\"\nreleases = \"ROOT/releases\"\n";

#[test]
fn broken_syntax() -> Result<()> {
    refuses("[components.web\ndriver = \"local\"\n", &["line 1"])?;
    refuses("\n\nstore = \n", &["line 3"])
}

#[test]
fn an_unknown_key_gets_a_suggestion() -> Result<()> {
    refuses(&format!("stroe = \"x\"\n{WEB}"), &["stroe", "did you mean \"store\"?"])?;
    refuses(&format!("{WEB}relases = \"x\"\n"), &["relases", "did you mean \"releases\"?"])?;
    refuses(
        &format!("{WEB}[environments.prod]\nconfrim = \"x\"\n"),
        &["confrim", "did you mean \"confirm\"?"],
    )
}

#[test]
fn a_value_of_the_wrong_type() -> Result<()> {
    refuses(&format!("store = 7\n{WEB}"), &["store"])?;
    refuses(&format!("{WEB}after = 7\n"), &["after"])?;
    refuses(&format!("{WEB}[environments.prod]\nplan_expires_after = \"soon\"\n"), &["plan_expires_after"])?;
    refuses("components = \"web\"\n", &["components"])
}

#[test]
fn a_driver_setting_of_the_wrong_type() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    for setting in ["restart = 7", "restart = []", "restart_timeout = \"soon\"", "pid_file = [1]"] {
        site.configure(&format!("{setting}\n"))?;
        let key = setting.split_whitespace().next().unwrap_or_default();
        site.refuses("run web --to revision=v1 --yes", 2, &["web", key])?;
    }
    Ok(())
}

#[test]
fn a_variable_that_is_not_set() -> Result<()> {
    refuses(
        &format!("store = \"sqlite:${{ROLLBACK_E2E_UNSET}}\"\n{WEB}"),
        &["ROLLBACK_E2E_UNSET", "set ROLLBACK_E2E_UNSET"],
    )
}

#[test]
fn an_unknown_driver_names_those_that_exist() -> Result<()> {
    refuses("[components.web]\ndriver = \"locla\"\n", &["line 2", "did you mean \"local\"?"])
}

#[test]
fn an_unknown_component_names_those_that_exist() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    for line in ["run wbe --to revision=v1 --yes", "status wbe", "history wbe", "record wbe"] {
        site.refuses(line, 2, &["wbe", "did you mean \"web\"?"])?;
    }
    Ok(())
}

#[test]
fn an_unknown_environment_names_those_that_exist() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    site.configure("[environments.prod]\nrequire_reason = false\n")?;
    site.refuses("run web --to revision=v1 --yes -e prdo", 2, &["prdo", "did you mean \"prod\"?"])?;
    Ok(())
}

#[test]
fn a_store_of_an_unknown_kind() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    let text = std::fs::read_to_string(site.path("rollback.toml"))?;
    site.write_configuration(&format!("store = \"sqlit:state.db\"\n{text}"))?;
    site.refuses("run web --to revision=v1 --yes", 2, &["sqlit", "did you mean \"sqlite\"?"])?;
    site.write_configuration(&format!("store = \"state.db\"\n{text}"))?;
    site.refuses("run web --to revision=v1 --yes", 2, &["no scheme"])?;
    Ok(())
}

#[test]
fn no_configuration_at_all() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    std::fs::remove_file(site.path("rollback.toml"))?;
    site.refuses("run web --to revision=v1 --yes", 2, &["rollback init"])?;
    Ok(())
}
