"""A small Amazon Cognito Identity API: developer-authenticated identities in front of an STS."""
