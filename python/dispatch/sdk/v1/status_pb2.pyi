from google.protobuf import descriptor
from google.protobuf.internal import enum_type_wrapper

DESCRIPTOR: descriptor.FileDescriptor

class Status(int, metaclass=enum_type_wrapper.EnumTypeWrapper): ...

STATUS_UNSPECIFIED: Status
STATUS_OK: Status
STATUS_TIMEOUT: Status
STATUS_THROTTLED: Status
STATUS_INVALID_ARGUMENT: Status
STATUS_INVALID_RESPONSE: Status
STATUS_TEMPORARY_ERROR: Status
STATUS_PERMANENT_ERROR: Status
STATUS_INCOMPATIBLE_STATE: Status
STATUS_DNS_ERROR: Status
STATUS_TCP_ERROR: Status
STATUS_TLS_ERROR: Status
STATUS_HTTP_ERROR: Status
STATUS_UNAUTHENTICATED: Status
STATUS_PERMISSION_DENIED: Status
STATUS_NOT_FOUND: Status
