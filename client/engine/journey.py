"""One record from its first piece until the service has completed it."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from client.api import Api
from client.arrival import wait_until_settled
from client.engine.answers import MultipartLostError, UnreachableError
from client.engine.body import Source
from client.engine.by_keys import passing
from client.engine.delivery import Delivery, NoRouteError
from client.engine.events import Begun, OnEvent, Restarted, Switched
from client.engine.key_ring import KeyRing
from client.engine.plan import Piece, Plan, plan_of
from client.engine.relay import Relay
from client.engine.sending import Sender
from client.engine.tuning import Tuning
from client.problems import ApiError, ClientError, RejectedError, TransferError
from client.wire import ARRIVED, Upload
