//! Links that a command hands out: printed, or sent by mail.
//!
//! A secret stands behind `#`, so that no server and no log gets it.

use std::time::Duration;

use super::super::arguments::LinkArguments;
use super::super::loading::Refused;
use super::users::Users;
use super::users::refused;
use crate::config::Registration;
use crate::identity::Account;
use crate::identity::LINK_LIFE;
use crate::identity::Letter;
use crate::identity::LinkKind;
use crate::identity::Mailer;
use crate::identity::new_link;
use crate::ids::shown;

/// A mailer, and the address to which it brings one link.
pub(super) struct Postman {
    mailer: Mailer,
    to: String,
}

impl Postman {
    /// The link is in the mail alone.
    async fn send(&self, letter: Letter<'_>) -> Result<String, Refused> {
        let sent = self.mailer.send(&self.to, letter).await;
        sent.map_err(|error| Refused::failed(error.to_string()))?;
        Ok(format!("A mail with the link went to {}\n", shown(&self.to)))
    }
}

impl Users {
    pub(super) async fn invite(
        &self,
        role: Option<&str>,
        days: u16,
        link: &LinkArguments,
        send: Option<&str>,
    ) -> Result<String, Refused> {
        if self.config.auth.register == Registration::Off {
            return Err(Refused::failed(
                "this server takes no registrations: set auth.register to \"invitation\", or use `tidewire user add NAME`",
            ));
        }
        let postman = self.postman(send)?;
        let life = Duration::from_secs(u64::from(days) * 24 * 3600);
        let kind = LinkKind::Invite { role: role.map(str::to_owned) };
        let secret = self.link(kind, None, life).await?;
        if let Some(postman) = postman {
            let link = self.address_in_mail(link, &postman, "/_/register", &secret)?;
            return postman.send(Letter::Invitation { link: &link }).await;
        }
        let address = self.address(link, "/_/register", &secret)?;
        Ok(format!("By this link one user may register, within {days} days:\n  {address}\n"))
    }

    pub(super) async fn reset_link(
        &self,
        account: &Account,
        link: &LinkArguments,
        send: Option<&str>,
    ) -> Result<String, Refused> {
        let postman = self.postman(send)?;
        let secret = self.link(LinkKind::Reset, Some(&account.user), LINK_LIFE).await?;
        if let Some(postman) = postman {
            let link = self.address_in_mail(link, &postman, "/_/account", &secret)?;
            return postman.send(Letter::Reset { name: &account.name, link: &link }).await;
        }
        let address = self.address(link, "/_/account", &secret)?;
        Ok(format!(
            "By this link {} sets the password. It works once, within an hour:\n  {address}\n",
            account.name
        ))
    }

    /// Who brings a link to this mail address.
    pub(super) fn postman(&self, send: Option<&str>) -> Result<Option<Postman>, Refused> {
        let Some(to) = send else { return Ok(None) };
        let Some(file) = &self.config.auth.mail else {
            return Err(Refused::failed(
                "no mail can be sent: `auth.mail` must name the file of the mail server",
            ));
        };
        let mailer = Mailer::read(file).map_err(|error| Refused::failed(error.to_string()))?;
        Ok(Some(Postman { mailer, to: to.to_owned() }))
    }

    /// As `address`, under the address of the server that the file of the mail server says.
    pub(super) fn address_in_mail(
        &self,
        link: &LinkArguments,
        postman: &Postman,
        page: &str,
        secret: &str,
    ) -> Result<String, Refused> {
        match link.url {
            Some(_) => self.address(link, page, secret),
            None => Ok(format!("{}{page}#{secret}", postman.mailer.url())),
        }
    }

    pub(super) async fn link(
        &self,
        kind: LinkKind,
        user: Option<&str>,
        life: Duration,
    ) -> Result<String, Refused> {
        let secret = new_link(&*self.vault, &self.env, kind, user, life).await.map_err(refused)?;
        Ok(secret.text().to_owned())
    }

    /// Behind `#`, so that no server and no log gets the secret.
    pub(super) fn address(&self, link: &LinkArguments, page: &str, secret: &str) -> Result<String, Refused> {
        let base = match &link.url {
            Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
                url.trim_end_matches('/').to_owned()
            }
            Some(url) => {
                return Err(Refused::usage(format!(
                    "--url `{}` is no address: write http:// or https:// before it",
                    shown(url)
                )));
            }
            None => format!("http://{}", self.config.listen),
        };
        Ok(format!("{base}{page}#{secret}"))
    }
}
