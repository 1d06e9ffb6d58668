"""The tutorial's two views. The task itself, core.tasks.loop, runs in a Lovage worker: here it is only a name."""

from celery.result import AsyncResult
from django.conf import settings
from django.http import JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST
from mysite.celery import app


def home(request):
    return render(request, "home.html", {"status_base": settings.STATUS_BASE})


@require_POST
def run_long_task(request):
    seconds = request.POST.get("l", "").strip()
    if not seconds:
        return JsonResponse({"error": "How many seconds?"}, status=400)
    return JsonResponse({"task_id": app.send_task("core.tasks.loop", [seconds]).id}, status=202)


def task_status(request, task_id):
    """By rpc://, so only the thread that has sent the task can see its states: every other says PENDING."""
    task = AsyncResult(task_id)
    state, info = task.state, task.info
    progression = "None"
    if state == "PROGRESS":
        progression = int(info["current"] * 100 / info["total"])
    elif state == "SUCCESS":
        progression = 100
    told = str(info) if state == "FAILURE" else "None"
    return JsonResponse({"task_id": task_id, "state": state, "progression": progression, "info": told})
