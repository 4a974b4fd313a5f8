"""The errors of the API, as AWS names them and as AWS writes them (JSON 1.1).

Names of the operations' own errors stand in botocore's service model; those that every AWS
service shares stand in the service's "Common Errors". Texts are AWS's where AWS's are known.
"""

# ruff: noqa: N818 - the class names are the wire's names


class ApiError(Exception):
    """An answer other than 200. `status` is what AWS uses: 400 for the client, 500 for itself."""

    status = 400

    @property
    def code(self) -> str:
        return type(self).__name__

    @property
    def message(self) -> str:
        return str(self)


class DeveloperUserAlreadyRegisteredException(ApiError): ...


class ExternalServiceException(ApiError): ...


class InternalErrorException(ApiError):
    status = 500


class InvalidIdentityPoolConfigurationException(ApiError): ...


class InvalidParameterException(ApiError): ...


class NotAuthorizedException(ApiError): ...


class ResourceNotFoundException(ApiError): ...


class TooManyRequestsException(ApiError): ...


class IncompleteSignatureException(ApiError): ...


class InvalidSignatureException(ApiError): ...


class MissingAuthenticationTokenException(ApiError): ...


class RequestEntityTooLargeException(ApiError):
    status = 413


class RequestTimeoutException(ApiError):
    status = 408


class SerializationException(ApiError): ...


class UnknownOperationException(ApiError):
    status = 404


class UnrecognizedClientException(ApiError): ...


class ValidationException(ApiError): ...
