from core import views
from django.urls import path

urlpatterns = [
    path("", views.home),
    path("run-long-task/", views.run_long_task),
    path("task-status/<str:task_id>/", views.task_status),
]
