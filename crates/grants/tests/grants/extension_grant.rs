//! Extension grants from outside of the crate (RFC 6749 §4.5).

use jeton_grants::{
    ClientSecretBasic, ExtraParameters, Grant, GrantContext, GrantError, ManualClock, async_trait,
};
use jeton_models::{GrantType, Parameters, TokenResponse};

use crate::support::{Scripted, a_moment, as_example, token};

const COUPON: GrantType = GrantType::extension("urn:example:coupon");

struct Coupon;

#[async_trait]
impl Grant for Coupon {
    fn grant_type(&self) -> GrantType {
        COUPON
    }

    fn needs_person(&self) -> bool {
        false
    }

    async fn obtain(&self, cx: &GrantContext<'_>) -> Result<TokenResponse, GrantError> {
        let mut parameters = Parameters::new();
        parameters.append_required("coupon", "SUMMER")?;
        cx.token_request(&COUPON, parameters).await
    }
}

#[tokio::test]
async fn an_extension_grant_gets_grant_type_identity_resource_and_extra_parameters() {
    let clock = ManualClock::at(a_moment());
    let (server, transport) = (as_example(), Scripted::new(&clock, [token()]));
    let mut extra = ExtraParameters::default();
    extra.token.append("tenant", "t").unwrap();
    let (authentication, resources) = (ClientSecretBasic::new("s"), ["urn:r".to_owned()]);
    let mut cx = GrantContext::new(&server, "me", &authentication, &transport, &clock);
    (cx.extra, cx.resources) = (&extra, &resources);
    let grant: std::sync::Arc<dyn Grant> = std::sync::Arc::new(Coupon);
    grant.obtain(&cx).await.unwrap();
    assert_eq!(grant.grant_type(), COUPON);
    assert_eq!(
        transport.bodies(),
        ["coupon=SUMMER&grant_type=urn%3Aexample%3Acoupon&resource=urn%3Ar&tenant=t"]
    );
    assert!(transport.requests()[0].headers().contains_key("authorization"));
}
