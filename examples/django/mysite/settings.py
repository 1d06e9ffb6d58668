import os

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "for development only")
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]

INSTALLED_APPS = ["django.contrib.staticfiles", "core"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"]
ROOT_URLCONF = "mysite.urls"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
STATIC_URL = "static/"
USE_TZ = True

CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", "amqp://guest:guest@localhost:5672//")
CELERY_RESULT_BACKEND = "rpc://"
# The tasks that are written in TypeScript have a queue of their own: a Celery worker rejects names it does not know.
# On their side LOVAGE_DEFAULT_QUEUE=ts says the same. Those in Python stay on Celery's default queue, `celery`.
CELERY_TASK_ROUTES = {"core.tasks.*": {"queue": "ts"}}

# Where the page asks for a task's state: "" is the view of this app, else the address of status.ts.
STATUS_BASE = os.environ.get("STATUS_BASE", "")
