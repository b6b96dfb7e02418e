"""The pages: one that needs a person, and those of django-cas-ng."""

from django.contrib.auth.decorators import login_required
from django.http import JsonResponse
from django.urls import path
from django_cas_ng.views import CallbackView, LoginView, LogoutView


@login_required
def home(request):
    return JsonResponse(
        {
            "user": request.user.get_username(),
            "email": request.user.email,
            "attributes": request.session.get("attributes"),
        }
    )


urlpatterns = [
    path("", home),
    path("accounts/login", LoginView.as_view(), name="cas_ng_login"),
    path("accounts/logout", LogoutView.as_view(), name="cas_ng_logout"),
    path("accounts/callback", CallbackView.as_view(), name="cas_ng_proxy_callback"),
]
