//! What whoever runs the server says of automatic certificates.

use std::path::PathBuf;

use clap::Args;

/// Part of the server's settings.
#[derive(Args, Clone, Debug)]
#[group(id = "acme")]
pub struct Settings {
    /// E-mail address for the authority that signs automatic certificates: naming one accepts its terms, and switches them on
    #[arg(long, env = "PENSTOCK_ACME_CONTACT", value_name = "EMAIL")]
    pub acme_contact: Option<String>,

    /// Where that authority is asked (ACME)
    #[arg(
        long,
        env = "PENSTOCK_ACME_DIRECTORY",
        value_name = "URL",
        default_value = "https://acme-v02.api.letsencrypt.org/directory"
    )]
    pub acme_directory: String,

    /// Certificates (PEM) by which that URL is believed, beside those that this machine trusts
    #[arg(long, env = "PENSTOCK_ACME_CA_FILE", value_name = "FILE")]
    pub acme_ca_file: Option<PathBuf>,
}

impl Default for Settings {
    /// As without any argument.
    fn default() -> Settings {
        Settings {
            acme_contact: None,
            acme_directory: "https://acme-v02.api.letsencrypt.org/directory".to_owned(),
            acme_ca_file: None,
        }
    }
}
