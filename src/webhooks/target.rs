//! Where a webhook may go: absolute https URLs, and addresses of the public internet only, unless the operator allows others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use allowlog_proto::limits::URL_BYTES_MAX;
use reqwest::Url;

/// A URL that a webhook may be sent to. Where its host is a name, the addresses behind it are looked at when it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(Url); // INVARIANT: http(s), a host, no credentials, no fragment, no refused address

impl Target {
    /// Reads the URL of a webhook; plain http and addresses that are not public only where they are allowed.
    ///
    /// # Errors
    /// Says what the URL must be.
    pub fn parse(text: &str, allow_private: bool) -> Result<Self, String> {
        let absolute = || if allow_private { "must be an absolute http or https URL" } else { "must be an absolute https URL" }.to_owned();
        if text.len() > URL_BYTES_MAX {
            return Err(format!("must have at most {URL_BYTES_MAX} bytes"));
        }
        // The parser reads these as something else, and slashes as it needs them; who reads the URL would not see where it leads.
        let is_odd = text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\');
        if is_odd || text.split_once(':').is_none_or(|(_, rest)| !rest.starts_with("//") || rest.starts_with("///")) {
            return Err(absolute());
        }
        let url = Url::parse(text).map_err(|_| absolute())?;
        let is_spoken = match url.scheme() {
            "https" => true,
            "http" => allow_private,
            _ => false,
        };
        let host = url.host_str().filter(|host| is_spoken && !host.is_empty()).ok_or_else(absolute)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must hold no user name and no password".to_owned());
        }
        if url.fragment().is_some() {
            return Err("must have no fragment".to_owned());
        }
        if !allow_private && is_known_private(host) {
            return Err("must lead to a public address".to_owned());
        }
        Ok(Self(url))
    }

    /// The URL.
    pub(super) fn url(&self) -> Url {
        self.0.clone()
    }
}

/// Whether a host is a refused address, or a name that stands for one everywhere.
fn is_known_private(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let name = host.trim_end_matches('.');
    address.is_ok_and(|address| !is_public(address)) || name == "localhost" || name.ends_with(".localhost")
}

/// Whether an address is one of the public internet. Those that carry another address are what that one is.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_special = match address.octets() {
        // This network, private, loopback, shared by carriers, link-local with the metadata of clouds.
        [0 | 10 | 127, ..] | [100, 64..=127, ..] | [169, 254, ..] => true,
        // Private, protocol assignments, documentation, relays, benchmarking.
        [172, 16..=31, ..] | [192, 0, 0 | 2, _] | [192, 88, 99, _] | [192, 168, ..] | [198, 18 | 19, ..] => true,
        [198, 51, 100, _] | [203, 0, 113, _] => true,
        // Multicast, reserved, broadcast.
        [224..=255, ..] => true,
        _ => false,
    };
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // Mapped, compatible (with it the unspecified address and loopback), translated.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => embedded(high, low),
        // NAT64, 6to4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => embedded(high, low),
        // Protocol assignments: Teredo, benchmarking, ORCHID; documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // Global unicast. Whatever else there is, is local to something, multicast, or nobody's.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_public_internet_and_others() {
        for text in "
            1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255
            169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.0.3.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0
            198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0 223.255.255.255 2606:4700:4700::1111 2a00:1450::1 2001:200::1
            2001:db7:ffff::1 2001:db9:: 3fff:1000:: 3ffe:ffff:: ::ffff:8.8.8.8 ::8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1
        "
        .split_whitespace()
        {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        for text in "
            0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.0 100.127.255.255 127.0.0.1 127.255.255.254 169.254.0.1
            169.254.169.254 172.16.0.0 172.31.255.255 192.0.0.0 192.0.0.255 192.0.2.1 192.88.99.1 192.168.0.0 192.168.255.255
            198.18.0.0 198.19.255.255 198.51.100.7 203.0.113.7 224.0.0.1 239.255.255.255 240.0.0.0 255.255.255.255 :: ::1
            ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::127.0.0.1 ::10.0.0.1 ::ffff:0:192.168.0.1 64:ff9b::10.0.0.1
            64:ff9b::a9fe:a9fe 64:ff9b:1::1 2002:7f00:1::1 2002:a9fe:a9fe:: 2002:c0a8:1:: 2001::1 2001:0:808:808::1 2001:2::1
            2001:10::1 2001:1ff::1 2001:db8::1 3fff::1 3fff:fff::1 100::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1 4000::1
            1::1
        "
        .split_whitespace()
        {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn urls_that_may_be_sent_to() {
        for text in "
            https://hooks.example.com https://hooks.example.com/a?b=c https://hooks.example.com:8443/a HTTPS://HOOKS.EXAMPLE/
            https://8.8.8.8/a https://[2606:4700:4700::1111]/a https://localhost.example/
        "
        .split_whitespace()
        .chain(["https://b\u{fc}cher.example/"])
        {
            assert!(Target::parse(text, false).is_ok() && Target::parse(text, true).is_ok(), "{text}");
        }
        for text in "
            http://hooks.example.com/ https://localhost/ https://LOCALHOST:8443/ https://localhost./ https://a.localhost/
            https://127.0.0.1/ https://127.1/ https://127.0.0.1./ https://0x7f.1/ https://2130706433/ https://017700000001/
            https://10.0.0.1/ https://169.254.169.254/latest https://[::1]/ https://[::ffff:127.0.0.1]/ https://[fe80::1]/
            https://0/ https://[::]/
        "
        .split_whitespace()
        .chain(["https://\u{ff11}\u{ff12}\u{ff17}.0.0.1/"])
        {
            assert!(Target::parse(text, false).is_err() && Target::parse(text, true).is_ok(), "{text}");
        }
        let long = format!("https://hooks.example.com/{}", "a".repeat(2048));
        for text in "
            hooks.example.com /hooks //hooks.example.com/ ftp://hooks.example.com/ file:///etc/passwd javascript:alert(1)
            mailto:a@example.com https:// https:/// https://a@hooks.example.com/ https://a:b@hooks.example.com/
            https://:b@hooks.example.com/ https://hooks.example.com/#a https://hooks.example.com/#
            https:hooks.example.com https:/hooks.example.com https:///hooks.example.com https:/a?b=://c
            https://hooks.example.com:99999/ https://[::1/ https://[fe80::1%25eth0]/
        "
        .split_whitespace()
        .chain([
            "",
            "https://hooks .example.com/",
            " https://hooks.example.com/",
            "https://hooks.example.com/\n",
            "https://hooks\t.example.com/",
            "https:\\\\hooks.example.com/",
            &long,
        ]) {
            assert!(Target::parse(text, false).is_err() && Target::parse(text, true).is_err(), "{text}");
        }
        let message = Target::parse("http://a.example", false).unwrap_err();
        assert_eq!(message, "must be an absolute https URL");
    }
}
