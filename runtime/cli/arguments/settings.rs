//! Flags that set something. They come from the table of settings, which decides what their values mean.

use std::marker::PhantomData;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command as ClapCommand, FromArgMatches, value_parser};

use crate::cli::settings::{FILE_VARIABLE, Flag, Given, SETTINGS, Setting};
use crate::config::Config;

/// Which settings have a flag of their own at a subcommand.
pub trait Offer {
    fn offers(setting: &Setting) -> bool;
}

/// All that have one.
#[derive(Debug)]
pub enum EveryFlag {}

/// `--schemas` alone.
#[derive(Debug)]
pub enum SchemaFlags {}

/// `--schemas`, `--data` and `--database`.
#[derive(Debug)]
pub enum FolderFlags {}

/// Those of `FolderFlags` and `--listen`.
#[derive(Debug)]
pub enum ServedFlags {}

impl Offer for ServedFlags {
    fn offers(setting: &Setting) -> bool {
        FolderFlags::offers(setting) || setting.name == "listen"
    }
}

impl Offer for EveryFlag {
    fn offers(_setting: &Setting) -> bool {
        true
    }
}

impl Offer for SchemaFlags {
    fn offers(setting: &Setting) -> bool {
        setting.name == "schemas"
    }
}

impl Offer for FolderFlags {
    fn offers(setting: &Setting) -> bool {
        matches!(setting.name, "schemas" | "data" | "database")
    }
}

/// `--config`, `--set`, and the flags that settings have of their own.
#[derive(Debug)]
pub struct SettingArguments<O> {
    given: Given,
    offer: PhantomData<fn() -> O>,
}

impl<O: Offer> SettingArguments<O> {
    pub fn given(&self) -> &Given {
        &self.given
    }

    /// With the setting's name as its id.
    fn flags() -> impl Iterator<Item = (&'static Setting, &'static str, &'static str)> {
        let offered = SETTINGS.iter().filter(|setting| O::offers(setting));
        offered.filter_map(|setting| setting.flag.map(|(flag, word)| (setting, flag, word)))
    }
}

impl<O: Offer> Args for SettingArguments<O> {
    fn augment_args(command: ClapCommand) -> ClapCommand {
        let flags = SettingArguments::<O>::flags().map(|(setting, flag, word)| {
            let default = setting.read(&Config::default()).text();
            let help = format!("{} [env: {}] [default: {default}]", setting.about, setting.variable());
            Arg::new(setting.name).long(flag).value_name(word).allow_negative_numbers(true).help(help)
        });
        command.args(flags).arg(set()).arg(config())
    }

    fn augment_args_for_update(command: ClapCommand) -> ClapCommand {
        SettingArguments::<O>::augment_args(command)
    }
}

fn set() -> Arg {
    Arg::new("set")
        .long("set")
        .value_name("NAME=VALUE")
        .action(ArgAction::Append)
        .value_parser(|text: &str| {
            let split = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
            split.filter(|(name, _)| !name.is_empty()).ok_or("write NAME=VALUE, as in http.list_max=500")
        })
        .help("Set any setting, as in `--set http.list_max=500`; `tidewire config` lists them")
}

fn config() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help(format!("Settings file [env: {FILE_VARIABLE}] [default: tidewire.toml, where there is one]"))
}

impl<O: Offer> FromArgMatches for SettingArguments<O> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<SettingArguments<O>, clap::Error> {
        let mut flags = Vec::new();
        for (setting, flag, _) in SettingArguments::<O>::flags() {
            if let Some(value) = matches.get_one::<String>(setting.name) {
                let (written, value) = (format!("--{flag}"), value.clone());
                flags.push(Flag { written, setting: setting.name.to_owned(), value });
            }
        }
        for (name, value) in matches.get_many::<(String, String)>("set").into_iter().flatten() {
            let (written, value) = (format!("--set {name}"), value.clone());
            flags.push(Flag { written, setting: name.clone(), value });
        }
        let given = Given { file: matches.get_one::<PathBuf>("config").cloned(), flags };
        Ok(SettingArguments { given, offer: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = SettingArguments::from_arg_matches(matches)?;
        Ok(())
    }
}
