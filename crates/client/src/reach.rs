//! Which addresses may be asked on a stranger's word. A resource names its metadata, that names authorization servers, those name
//! endpoints: a public server must not lead this program to the services of its own machine or network (RFC 9728 §7.7).
//!
//! Whoever asks for a URL on a private address by himself may be led to others there: that is how one develops, and how
//! companies work.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use jeton_grants::{Limits, Transport, TransportError, TransportErrorKind};
use jeton_models::is_loopback_host;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::http::{HttpOptions, HttpOptionsError};
use crate::transport::ReqwestTransport;

/// How far away an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Zone {
    /// Anywhere on the internet.
    Public,
    /// A network of somebody's own, or of a provider's.
    Private,
    /// This very link, where clouds have the service that gives out a machine's credentials.
    LinkLocal,
    /// This very machine.
    Loopback,
    /// Not an address of one host.
    Nowhere,
}

impl Zone {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        match address.octets() {
            // "This host on this network": systems connect it to themselves.
            [0 | 127, ..] => Self::Loopback,
            [169, 254, ..] => Self::LinkLocal,
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Self::Private,
            // Shared by the customers of a provider (RFC 6598), protocol assignments, benchmarks, documentation.
            [100, 64..=127, ..] | [192, 0, 0 | 2, _] | [198, 18..=19, ..] => Self::Private,
            [198, 51, 100, _] | [203, 0, 113, _] => Self::Private,
            [224..=255, ..] => Self::Nowhere,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let v4 = |high: u16, low: u16| {
            let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
            Self::of_v4(Ipv4Addr::new(a, b, c, d))
        };
        match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Self::Loopback,
            // An IPv4 address in IPv6: mapped, translated or compatible (RFC 4291 §2.5.5, RFC 2765), NAT64 (RFC 6052), 6to4.
            [0, 0, 0, 0, 0 | 0xffff, 0, high, low] | [0, 0, 0, 0, 0, 0xffff, high, low] => v4(high, low),
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
            [0x2002, high, low, ..] => v4(high, low),
            // NAT64 of a network's own (RFC 8215), Teredo, documentation, discard.
            [0x64, 0xff9b, ..] | [0x2001, 0 | 0xdb8, ..] | [0x3fff, ..] | [0x100, 0, 0, 0, ..] => {
                Self::Private
            }
            // Amazon's service for a machine's credentials.
            [0xfd00, 0xec2, ..] => Self::LinkLocal,
            [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Self::Private,
            [0xfe80..=0xfebf, ..] => Self::LinkLocal,
            [0xff00..=0xffff, ..] => Self::Nowhere,
            _ => Self::Public,
        }
    }

    /// The zone of a URL whose host is an address or `localhost`; `None` for a name, whose addresses only a resolver knows.
    pub(crate) fn of_host(url: &Url) -> Option<Self> {
        match url.host()? {
            Host::Ipv4(address) => Some(Self::of_v4(address)),
            Host::Ipv6(address) => Some(Self::of_v6(address)),
            Host::Domain(_) => is_loopback_host(url).then_some(Self::Loopback),
        }
    }

    /// Whether one who was asked in this zone may lead to that one.
    pub(crate) fn may_lead_to(self, zone: Self) -> bool {
        match zone {
            Self::Public => true,
            Self::Private => matches!(self, Self::Private | Self::LinkLocal | Self::Loopback),
            Self::LinkLocal | Self::Loopback => self == zone,
            Self::Nowhere => false,
        }
    }
}

/// Sends requests to where a resource in its zone may lead.
///
/// A host that is an address is checked here; names are checked where they are resolved, so that the address that was checked
/// is the one that is connected to. Where a proxy is in between, it is the proxy that resolves names, by its own rules.
#[derive(Clone)]
pub(crate) struct GuardedTransport {
    inner: Arc<dyn Transport>,
    guard: Guard,
}

impl GuardedTransport {
    pub(crate) fn new(options: &HttpOptions, from: Zone) -> Result<Self, HttpOptionsError> {
        let guard = Guard::new(from);
        let inner = ReqwestTransport::with_resolver(options, Arc::new(guard.clone()))?;
        Ok(Self { inner: Arc::new(inner), guard })
    }

    /// Over a transport of the program's own, which resolves names by itself: only hosts that are addresses are checked.
    pub(crate) fn over(inner: Arc<dyn Transport>, from: Zone) -> Self {
        Self { inner, guard: Guard::new(from) }
    }
}

#[async_trait]
impl Transport for GuardedTransport {
    async fn send(
        &self,
        request: ::http::Request<Bytes>,
        limits: &Limits,
    ) -> Result<::http::Response<Bytes>, TransportError> {
        let url = Url::parse(&request.uri().to_string())
            .map_err(|error| TransportError::new(TransportErrorKind::Request).with_source(error))?;
        self.guard
            .admit(&url)
            .map_err(|refused| TransportError::new(TransportErrorKind::Request).with_source(refused))?;
        self.inner.send(request, limits).await
    }
}

/// Why a request was not sent.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "{host} is on a private address, to which the resource must not lead that was asked for; nothing was sent there"
)]
struct Refused {
    host: String,
}

/// What a resource in its zone may lead to; a resolver that gives no other addresses.
#[derive(Clone)]
struct Guard {
    from: Zone,
    /// The hosts that requests go to, in lower case. A resolver is asked for proxies, too, which the program or the system
    /// named and which are where they are.
    targets: Arc<Mutex<HashSet<String>>>,
}

/// So many hosts are led to. A program has a few.
const MOST_TARGETS: usize = 10_000;

impl Guard {
    fn new(from: Zone) -> Self {
        Self { from, targets: Arc::default() }
    }

    fn admit(&self, url: &Url) -> Result<(), Refused> {
        let refused = || Refused { host: url.host_str().unwrap_or_default().to_owned() };
        match (Zone::of_host(url), url.host_str()) {
            (Some(zone), _) if !self.from.may_lead_to(zone) => Err(refused()),
            (Some(_), _) => Ok(()),
            (None, Some(name)) => {
                let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
                if targets.len() >= MOST_TARGETS && !targets.contains(name) {
                    return Err(refused());
                }
                targets.insert(name.to_ascii_lowercase());
                Ok(())
            }
            (None, None) => Err(refused()),
        }
    }

    /// Those of the addresses to which a request for that name may go.
    fn admitted(&self, name: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Refused> {
        let targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        if !targets.contains(&name.to_ascii_lowercase()) {
            return Ok(found);
        }
        let may = |address: &SocketAddr| self.from.may_lead_to(Zone::of(address.ip()));
        let some_were_found = !found.is_empty();
        let admitted: Vec<_> = found.into_iter().filter(may).collect();
        match admitted.is_empty() && some_were_found {
            true => Err(Refused { host: name.to_owned() }),
            false => Ok(admitted),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = look_up(name.as_str()).await?;
            Ok(Box::new(guard.admitted(name.as_str(), found)?.into_iter()) as Addrs)
        })
    }
}

/// A resolver that remembers what it found, so that it can be told from where an answer came.
#[derive(Clone, Default)]
pub(crate) struct WitnessResolver {
    found: Arc<Mutex<HashSet<(String, IpAddr)>>>,
}

/// So many addresses are remembered. One that was forgotten counts as public.
const MOST_WITNESSED: usize = 4096;

impl WitnessResolver {
    /// The zone of the server that gave an answer: of its host, if that says it, or else of the address that was connected to,
    /// if that is one to which the name was resolved. A proxy's address says nothing: then it is taken for public.
    pub(crate) fn zone_of(&self, response: &reqwest::Response) -> Zone {
        let url = response.url();
        Zone::of_host(url).unwrap_or_else(|| {
            let Some(peer) = response.remote_addr() else { return Zone::Public };
            let witnessed = (url.host_str().unwrap_or_default().to_ascii_lowercase(), peer.ip());
            let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            if found.contains(&witnessed) { Zone::of(peer.ip()) } else { Zone::Public }
        })
    }

    fn note(&self, name: &str, addresses: &[SocketAddr]) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() + addresses.len() > MOST_WITNESSED {
            found.clear();
        }
        found.extend(addresses.iter().map(|address| (name.to_ascii_lowercase(), address.ip())));
    }
}

impl Resolve for WitnessResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let witness = self.clone();
        Box::pin(async move {
            let found = look_up(name.as_str()).await?;
            witness.note(name.as_str(), &found);
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// The system's resolver. The port is set by whoever connects.
async fn look_up(name: &str) -> std::io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((name, 0)).await?.collect())
}

impl fmt::Debug for GuardedTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedTransport").field("from", &self.guard.from).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(address: &str) -> Zone {
        Zone::of(address.parse().unwrap())
    }

    #[test]
    fn addresses_that_are_not_public_in_every_spelling() {
        use Zone::{LinkLocal, Loopback, Nowhere, Private, Public};
        for (address, expected) in [
            ("8.8.8.8", Public),
            ("100.63.255.255", Public),
            ("100.64.0.1", Private),
            ("100.100.100.200", Private),
            ("100.128.0.1", Public),
            ("10.0.0.1", Private),
            ("172.15.255.255", Public),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("172.32.0.1", Public),
            ("192.168.1.1", Private),
            ("192.0.0.192", Private),
            ("198.18.0.1", Private),
            ("127.0.0.1", Loopback),
            ("127.255.0.1", Loopback),
            ("0.0.0.0", Loopback),
            ("169.254.169.254", LinkLocal),
            ("224.0.0.1", Nowhere),
            ("255.255.255.255", Nowhere),
            ("2606:4700::1", Public),
            ("::", Loopback),
            ("::1", Loopback),
            ("::ffff:127.0.0.1", Loopback),
            ("::ffff:169.254.169.254", LinkLocal),
            ("::ffff:8.8.8.8", Public),
            ("::127.0.0.1", Loopback),
            ("::ffff:0:10.0.0.1", Private),
            ("64:ff9b::10.0.0.1", Private),
            ("64:ff9b::169.254.169.254", LinkLocal),
            ("64:ff9b::8.8.8.8", Public),
            ("64:ff9b:1::8.8.8.8", Private),
            ("2002:7f00:1::", Loopback),
            ("2002:a00:1::1", Private),
            ("2001::1", Private),
            ("2001:db8::1", Private),
            ("fc00::1", Private),
            ("fd12:3456::1", Private),
            ("fd00:ec2::254", LinkLocal),
            ("fe80::1", LinkLocal),
            ("fec0::1", Private),
            ("ff02::1", Nowhere),
        ] {
            assert_eq!(zone(address), expected, "{address}");
        }
    }

    #[test]
    fn hosts_that_are_addresses_are_known_before_anybody_is_asked() {
        let of = |url: &str| Zone::of_host(&url.parse().unwrap());
        for loopback in [
            "http://localhost/",
            "http://a.localhost./",
            "http://127.1/",
            "http://0x7f000001/",
            "http://2130706433/",
            "http://[::1]/",
        ] {
            assert_eq!(of(loopback), Some(Zone::Loopback), "{loopback}");
        }
        assert_eq!(of("https://[::ffff:a9fe:a9fe]/"), Some(Zone::LinkLocal));
        assert_eq!(of("https://10.1/"), Some(Zone::Private));
        assert_eq!(of("https://8.8.8.8/"), Some(Zone::Public));
        assert_eq!(of("https://localhost.example/"), None);
        assert_eq!(of("https://intranet/"), None);
    }

    #[test]
    fn nobody_leads_further_in_than_where_he_was_asked() {
        use Zone::{LinkLocal, Loopback, Nowhere, Private, Public};
        let all = [Public, Private, LinkLocal, Loopback, Nowhere];
        let led = |from: Zone| all.into_iter().filter(|to| from.may_lead_to(*to)).collect::<Vec<_>>();
        assert_eq!(led(Public), [Public]);
        assert_eq!(led(Private), [Public, Private]);
        assert_eq!(led(LinkLocal), [Public, Private, LinkLocal]);
        assert_eq!(led(Loopback), [Public, Private, Loopback]);
        assert_eq!(led(Nowhere), [Public]);
    }

    #[test]
    fn the_resolver_gives_no_private_address_of_a_target_and_leaves_proxies_alone() {
        let address = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 0);
        let (public, private) = (address("8.8.8.8"), address("10.0.0.1"));
        let guard = Guard::new(Zone::Public);
        guard.admit(&"https://AS.example/".parse().unwrap()).unwrap();
        assert_eq!(guard.admitted("as.example", vec![private, public]).unwrap(), [public]);
        assert_eq!(guard.admitted("AS.EXAMPLE", vec![private, public]).unwrap(), [public]);
        let refused = guard.admitted("as.example", vec![private, address("::1")]).unwrap_err();
        assert!(refused.to_string().starts_with("as.example is on a private address"), "{refused}");
        // That nobody is there is another matter.
        assert!(guard.admitted("as.example", Vec::new()).unwrap().is_empty());
        assert_eq!(guard.admitted("proxy.corp", vec![private]).unwrap(), [private]);

        let inside = Guard::new(Zone::Private);
        inside.admit(&"https://as.example/".parse().unwrap()).unwrap();
        assert_eq!(inside.admitted("as.example", vec![private, address("127.0.0.1")]).unwrap(), [private]);
    }

    #[test]
    fn an_answer_from_an_address_that_nobody_resolved_counts_as_public() {
        let witness = WitnessResolver::default();
        // Without an address at all, as behind a proxy that does not tell.
        let response = reqwest::Response::from(::http::Response::new(""));
        assert_eq!(witness.zone_of(&response), Zone::Public);
        witness.note("AS.example", &[SocketAddr::new("10.0.0.1".parse().unwrap(), 0)]);
        let known = |name: &str, ip: &str| {
            witness.found.lock().unwrap().contains(&(name.to_owned(), ip.parse().unwrap()))
        };
        assert!(known("as.example", "10.0.0.1") && !known("as.example", "10.0.0.2"));
        for number in 0..=MOST_WITNESSED {
            witness.note(&format!("{number}.example"), &[SocketAddr::new("10.0.0.1".parse().unwrap(), 0)]);
        }
        assert!(witness.found.lock().unwrap().len() <= MOST_WITNESSED);
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_refused_at_the_resolver() {
        let options = HttpOptions::new().no_proxy();
        let transport = GuardedTransport::new(&options, Zone::Public).unwrap();
        // No loopback name by its spelling, so that nothing but the resolver can know.
        let resolver = &transport.guard;
        resolver.admit(&"https://as.example/".parse().unwrap()).unwrap();
        resolver.targets.lock().unwrap().insert("localhost".to_owned());
        let name: Name = "localhost".parse().unwrap();
        let refused = resolver.resolve(name).await.map(|_| ()).unwrap_err();
        assert!(refused.to_string().contains("private address"), "{refused}");

        let request = ::http::Request::get("http://127.0.0.1:9/").body(Bytes::new()).unwrap();
        let error = transport.send(request, &Limits::default()).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Request);
        assert!(error.to_string().contains("private address"), "{error}");
    }
}
