//! How much Fargate AWS lets the account have.

use ecsrunner_core::rules::cost::Market;

use super::{OperateError, Operator, failed};
use crate::fault::Fault;

const ACTION: &str = "servicequotas:GetServiceQuota";
const SERVICE: &str = "fargate";

/// A quota of the account in the Region.
#[derive(Clone, PartialEq, Debug)]
pub struct Quota {
    /// What it is of.
    pub market: Market,
    /// Service Quotas' code, by which more is asked for.
    pub code: &'static str,
    /// vCPUs that may run at once, of all deployments and others together.
    pub vcpus: f64,
}

/// Service Quotas' codes of "Fargate On-Demand vCPU resource count" and of the same for Spot.
const fn code(market: Market) -> &'static str {
    match market {
        Market::OnDemand => "L-3032A538",
        Market::Spot => "L-36FBB829",
    }
}

impl Operator<'_> {
    /// The quota of a market.
    ///
    /// # Errors
    ///
    /// AWS's.
    pub async fn quota(&self, market: Market) -> Result<Quota, OperateError> {
        let code = code(market);
        let answer = self
            .connection
            .service_quotas()
            .get_service_quota()
            .service_code(SERVICE)
            .quota_code(code)
            .send()
            .await
            .map_err(|error| failed(ACTION, format_args!("{SERVICE}/{code}"), Fault::of(&error)))?;
        let vcpus = answer.quota.and_then(|quota| quota.value);
        let vcpus = vcpus.ok_or_else(|| failed(ACTION, code, Fault::of_answer("there is no value in it")))?;
        Ok(Quota { market, code, vcpus })
    }
}
