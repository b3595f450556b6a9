"""The gRPC servicer of gostream.v1.AdminService."""

from dataclasses import dataclass

import grpc

from gostream.v1 import admin_service_pb2 as messages
from gostream_api.admin.explain import ExplainService, Explanation
from gostream_api.rpc import validation
from gostream_api.rpc.interceptors.base import Asked, Context, Handler, asked

ADMIN_SERVICE = messages.DESCRIPTOR.services_by_name["AdminService"].full_name


@dataclass(frozen=True, slots=True)
class AdminServicer:
    """The RPCs of AdminService over its use cases."""

    explaining: ExplainService

    async def ExplainVideo(  # noqa: N802
        self, request: Asked[messages.ExplainVideoRequest], context: Context
    ) -> messages.Explanation:
        video_id = validation.video_id(request.message)
        explanation = await self.explaining.explain_video(request.caller, video_id)
        return explanation_message(str(video_id), explanation)


def explanation_message(video_id: str, explanation: Explanation) -> messages.Explanation:
    verdict = explanation.verdict
    return messages.Explanation(
        video_id=video_id,
        state=messages.Explanation.State.Value(f"STATE_{verdict.state.name}"),
        cause=verdict.cause.value,
        verdict=verdict.sentence,
        advice=verdict.advice,
        facts=[
            messages.Explanation.Fact(name=line.name, value=line.value, is_bad=line.is_bad)
            for line in explanation.lines
        ],
    )


def admin_handlers(servicer: AdminServicer) -> dict[str, Handler]:
    """Returns the handler of each method, which takes an Asked request."""
    return {
        "ExplainVideo": grpc.unary_unary_rpc_method_handler(
            servicer.ExplainVideo,
            asked(messages.ExplainVideoRequest.FromString),
            messages.Explanation.SerializeToString,
        )
    }
