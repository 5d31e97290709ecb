"""IAM of the embedded services: who calls, what policies grant, what was used.

A caller says who it is by a bearer token that is an e-mail address: ``authorization: Bearer
rotation@demo-project.iam.gserviceaccount.com``, as gRPC metadata or as an HTTP header.  Whoever
brings no such token is the owner of everything, so that nothing changes for those who do not ask
for it.  Policies are bound to projects, secrets, topics and subscriptions; roles are predefined or
custom.  Calls are refused only while enforcement is on; ``testIamPermissions`` always tells the
truth about a caller who says who it is.

The REST API of projects and custom roles is served as well, so that ``gcloud projects
add-iam-policy-binding`` and ``gcloud iam roles create`` work; and a control API:

=======  =======================  =========================================================
method   path                     does
=======  =======================  =========================================================
GET      /embedded/v1/iam         whether it is enforced, and which permissions each caller used
PUT      /embedded/v1/iam         ``{"enforced": true}``
DELETE   /embedded/v1/iam/used    the same as GET, and forget what was used
=======  =======================  =========================================================
"""

from rotation.emulator.iam.callers import OWNER, caller_of
from rotation.emulator.iam.policies import Iam

__all__ = ["OWNER", "Iam", "caller_of"]
